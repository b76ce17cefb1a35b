// Finds out whether the CUDA addon can work here: whether there is a GPU, and whether the addon
// loads. It is loaded in a process of its own first, since a broken driver may crash the process.

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";

/** Returns true if the system has the driver of an NVIDIA GPU, without starting a process. */
export function hasGPU(platform = process.platform): boolean {
  if (platform === "win32")
    return existsSync(`${process.env.SystemRoot ?? "C:\\Windows"}\\System32\\nvidia-smi.exe`);
  // the last one is that of the Windows Subsystem for Linux
  return ["/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg"].some((file) => existsSync(file));
}

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
  const [message] = stdout.split(/\r?\n/);
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
