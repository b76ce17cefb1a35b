// The matmul algorithms that `npm run tune` timed once and that are used from then on: a text that
// the CUDA addon writes and reads, keyed by device, driver and library version.

import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";

/** The part of an addon that reads and writes the table. */
export interface MatmulTable {
  /** Returns the algorithms in use as text. */
  matmulTable(): string;
  /** Uses the algorithms of a text that matmulTable() returned. */
  setMatmulTable(text: string): void;
}

/** Returns the file of the user's table. */
export function tuningFile(): string {
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache");
  return join(cache, "tinybard", "matmul.txt");
}

export class MatmulTuning {
  readonly #addon: MatmulTable;

  constructor(addon: MatmulTable) {
    this.#addon = addon;
  }

  /** Uses the algorithms of a file, if the file exists. */
  load(file = tuningFile()): void {
    // reading a pipe would block
    const isFile = statSync(file, { throwIfNoEntry: false })?.isFile();
    if (isFile) this.#addon.setMatmulTable(readFileSync(file, "utf8"));
  }

  /** Writes the algorithms in use to a file. */
  save(file = tuningFile()): void {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, this.#addon.matmulTable());
  }
}
