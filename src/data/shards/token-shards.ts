// The shards of a split as one sequence of tokens, which stays on disk.

import { findPart, type TokenSource } from "../tokens.ts";
import type { ShardFile } from "./shard-file.ts";

export class TokenShards implements TokenSource {
  readonly length: number;
  readonly files: readonly ShardFile[];
  readonly parts: readonly number[];
  /** The bytes of the text in UTF-8, or null if they are not known. */
  readonly textBytes: number | null;
  readonly #vocabSize: number;
  readonly #starts: number[] = [];

  /** Tokens must be below vocabSize. */
  constructor(files: readonly ShardFile[], vocabSize: number, textBytes: number | null = null) {
    this.files = files;
    this.parts = files.map(({ tokens }) => tokens);
    this.textBytes = textBytes;
    this.#vocabSize = vocabSize;
    let length = 0;
    for (const { tokens } of files) {
      this.#starts.push(length);
      length += tokens;
    }
    this.length = length;
  }

  /** Copies tokens, which may be in several shards. Throws a FileError for a damaged shard. */
  read(start: number, count: number, target: Int32Array, offset: number): void {
    if (start < 0 || start + count > this.length)
      throw new RangeError(`read: start is ${start}, expected 0 to ${this.length - count}`);
    let done = 0;
    for (const { file, position, n } of this.#ranges(start, count)) {
      file.read(position, n, target, offset + done, this.#vocabSize);
      done += n;
    }
  }

  prefetch(start: number, count: number): void {
    for (const { file, position, n } of this.#ranges(start, count)) file.prefetch(position, n);
  }

  close(): void {
    for (const file of this.files) file.close();
  }

  /** Yields the shards that have a range of tokens, and the n tokens from a position in each. */
  *#ranges(start: number, count: number) {
    let done = 0;
    for (let i = findPart(this.#starts, start); done < count; i++) {
      const file = this.files[i];
      const position = start + done - this.#starts[i];
      const n = Math.min(count - done, file.tokens - position);
      if (n > 0) yield { file, position, n };
      done += n;
    }
  }
}
