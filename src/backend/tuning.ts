// The matmul algorithms that `npm run tune` timed once and that are used from then on: a text that
// the CUDA addon writes and reads, keyed by device, driver and library version.

import { readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { cacheFile } from "../cache.ts";
import { UsageError } from "../errors.ts";

/** The part of an addon that reads and writes the table. */
export interface MatmulTable {
  /** Returns the algorithms in use as text. */
  matmulTable(): string;
  /** Uses the algorithms of a text that matmulTable() returned. */
  setMatmulTable(text: string): void;
}

/** Returns the file of the user's table. */
export function tuningFile(): string {
  return cacheFile("matmul.txt");
}

export class MatmulTuning {
  readonly #addon: MatmulTable;
  #users = 0;

  constructor(addon: MatmulTable) {
    this.#addon = addon;
  }

  /** Declares a use that needs unchanged algorithms. Returns a function that ends it. */
  hold(): () => void {
    this.#users++;
    return () => void this.#users--;
  }

  /** The algorithms in use, as text. */
  get table(): string {
    return this.#addon.matmulTable();
  }

  /** Uses the algorithms of a text that `table` returned, as another process does. */
  use(table: string): void {
    this.#addon.setMatmulTable(table);
  }

  /**
   * Uses the algorithms of a file, if the file exists. Throws a UsageError if they would change
   * those that another run of this process is being trained with.
   */
  load(file = tuningFile()): void {
    // reading a pipe would block
    const isFile = statSync(file, { throwIfNoEntry: false })?.isFile();
    if (!isFile) return;
    const table = readFileSync(file, "utf8");
    if (this.#users > 0 && table !== this.#addon.matmulTable())
      throw new UsageError(
        `${file}: another run of this process uses other matmul algorithms; ` +
          "wait until it has ended, or train in another process",
      );
    this.#addon.setMatmulTable(table);
  }

  /** Writes the algorithms in use to a file, atomically. */
  save(file = tuningFile()): void {
    const temporary = `${file}.${process.pid}.tmp`;
    writeFileSync(temporary, this.#addon.matmulTable(), { flush: true });
    renameSync(temporary, file);
  }
}
