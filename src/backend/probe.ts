// Does an addon load? Asked in a process of its own: a broken driver may end the one that asks.

import { spawnSync } from "node:child_process";
import { readFileSync, statSync, writeFileSync } from "node:fs";

/** Why the addon does not load, in words; null if it does. What went well is not asked again. */
export function probe(file: string): string | null {
  const note = `${file}.loads`;
  const driver = read("/proc/driver/nvidia/version");
  const state = `${statSync(file).mtimeMs} ${process.version} ${driver}`;
  if (read(note) === state) return null;
  const program = `try { require(${JSON.stringify(file)}) } catch (e) { console.log(e.message) }`;
  const { status, signal, stdout } = spawnSync(process.execPath, ["-e", program], {
    encoding: "utf8",
    timeout: 60_000,
  });
  const [message] = stdout.split("\n");
  if (message) return message;
  if (status !== 0) return `loading it ended a process with ${signal ?? `exit code ${status}`}`;
  try {
    writeFileSync(note, state);
  } catch {} // a folder that cannot be written to: it is asked again
  return null;
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
