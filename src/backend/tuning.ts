// The algorithms of matrix products that were timed once, by `npm run tune`, and are used from then
// on: a text that the CUDA addon writes and reads, keyed by device, driver and library.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import type { CudaAddon } from "./addon.ts";

/** Where the user's table lies. */
export function tuningFile(): string {
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache");
  return join(cache, "tinybard", "matmul.txt");
}

/** Lets an addon use the choices of a file, if it is there. */
export function loadTuning(addon: CudaAddon, file = tuningFile()): void {
  if (existsSync(file)) addon.setMatmulTable(readFileSync(file, "utf8"));
}

/** Writes the choices in use to a file. */
export function saveTuning(addon: CudaAddon, file = tuningFile()): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, addon.matmulTable());
}
