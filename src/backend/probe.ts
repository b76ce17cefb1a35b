// Loads an addon in a process of its own first, since a broken driver may crash the process.

import { spawnSync } from "node:child_process";
import { readFileSync, statSync, writeFileSync } from "node:fs";

/** Returns why the addon does not load, or null if it does; success is remembered in a file. */
export function probe(file: string): string | null {
  const marker = `${file}.loads`;
  const driver = read("/proc/driver/nvidia/version");
  const state = `${statSync(file).mtimeMs} ${process.version} ${driver}`;
  if (read(marker) === state) return null;
  const program = `try { require(${JSON.stringify(file)}) } catch (e) { console.log(e.message) }`;
  const { status, signal, stdout } = spawnSync(process.execPath, ["-e", program], {
    encoding: "utf8",
    timeout: 60_000,
  });
  const [message] = stdout.split("\n");
  if (message) return message;
  if (status !== 0) return `loading it ended a process with ${signal ?? `exit code ${status}`}`;
  try {
    writeFileSync(marker, state);
  } catch {} // the folder is not writable: the next process probes again
  return null;
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
