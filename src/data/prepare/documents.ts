// The documents of the input, numbered in its order, and the split of each.

import type { Split } from "../shards/manifest.ts";
import type { InputSections } from "./input.ts";
import type { Piece } from "./pieces.ts";

/** A document, or a part of one, in a piece. */
export interface DocumentPart {
  /** The index of its range in the piece. */
  readonly range: number;
  readonly split: Split;
  readonly beginsDocument: boolean;
}

/** Numbers the documents of the pieces that it is passed, one after the other. */
export class DocumentCounter {
  readonly #input: InputSections;
  /** The number of documents that have begun. */
  count: number;

  constructor(input: InputSections, count: number) {
    this.#input = input;
    this.count = count;
  }

  /** Yields the parts in a piece. `sizes` are those of its ranges; empty documents do not count. */
  *parts({ position }: Piece, sizes: readonly number[]): Generator<DocumentPart> {
    for (const [range, size] of sizes.entries()) {
      if (size === 0) continue;
      const beginsDocument = range > 0 || !position.isInDocument;
      if (beginsDocument) this.count++;
      const split = this.#input.getSplit(this.count - 1, position.section);
      yield { range, split, beginsDocument };
    }
  }
}
