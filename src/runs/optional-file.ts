// Files without which a run goes on: metrics, plots, event files. A disk that is full, or a file
// that cannot be written, must not cost hours of training.

import { FileError } from "../files/file-error.ts";

/** Receives a message about a failure that a run survives. */
export type Warn = (message: string) => void;

/** Reports the first failure of writing a file as a warning, and ignores later ones. */
export class OptionalFile {
  readonly #warn: Warn;
  #hasFailed = false;

  constructor(warn: Warn) {
    this.#warn = warn;
  }

  /** Calls `write` and returns true if it succeeded. It may throw a FileError. */
  attempt(write: () => void): boolean {
    try {
      write();
      return true;
    } catch (error) {
      if (!(error instanceof FileError)) throw error;
      if (!this.#hasFailed)
        this.#warn(`${error.message}; training goes on, but not all of it is written`);
      this.#hasFailed = true;
      return false;
    }
  }
}
