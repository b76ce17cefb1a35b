// Runs the program in a browser, on the device wasm with the modules that the test serves.

import type { DeviceName } from "tinybard";
import { devices } from "tinybard";
import { loadWasm } from "tinybard/browser";
import { type Result, run } from "./program.js";

/** The result of the program, and the number of threads. */
export async function loadAndRun(name: DeviceName): Promise<Result & { threads: number }> {
  const urls = { relaxed: "/kernels-relaxed.wasm", plain: "/kernels.wasm" };
  const threads = name === "wasm" ? await loadWasm({ ...urls, threads: 2 }) : 1;
  const missing = devices().find((known) => known.name === name)?.missing.length;
  if (name === "wasm" && missing !== 0) throw new Error(`${missing} kernels are missing`);
  return { ...(await run(name === "wasm" ? "auto" : name)), threads };
}
