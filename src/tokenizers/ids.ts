// A tokenizer that reads and writes token ids as decimal numbers, for a model that was imported
// without its vocabulary.

import { type Decoder, type Tokenizer, TokenizerError, unknownIdError } from "./tokenizer.ts";

/** Each token is a decimal integer. White space separates the numbers and is not preserved. */
export class IdTokenizer implements Tokenizer {
  readonly vocabSize: number;

  constructor(vocabSize: number) {
    if (!Number.isSafeInteger(vocabSize) || vocabSize < 1)
      throw new TokenizerError(`IdTokenizer: vocabSize is ${vocabSize}, expected 1 or more`);
    this.vocabSize = vocabSize;
  }

  /** Returns a tokenizer for all ids up to the largest one in a text. */
  static train(text: string): IdTokenizer {
    const ids = new IdTokenizer(Number.MAX_SAFE_INTEGER).encode(text);
    const largest = ids.reduce((max, id) => Math.max(max, id), 0);
    return new IdTokenizer(largest + 1);
  }

  /** Reads the result of toJSON(). Throws a TokenizerError if the value is invalid. */
  static fromJSON(json: unknown): IdTokenizer {
    return new IdTokenizer((json as { vocabSize: number }).vocabSize);
  }

  /** Throws a RangeError with the position of the first word that is not an id. */
  encode(text: string): number[] {
    const words = text.split(/\s+/).filter((word) => word !== "");
    return words.map((word, position) => {
      const id = /^\d+$/.test(word) ? Number(word) : Number.NaN;
      if (id < this.vocabSize) return id;
      const expected = `expected 0 to ${this.vocabSize - 1}`;
      throw new RangeError(
        `encode: ${JSON.stringify(word)} at position ${position} is not an id, ${expected}`,
      );
    });
  }

  /** Returns the ids, each preceded by a space, so that decoded texts can be concatenated. */
  decode(ids: Iterable<number>): string {
    return Array.from(ids, (id) => this.#toWord(id)).join("");
  }

  decoder(): Decoder {
    return { write: (id) => this.#toWord(id), end: () => "" };
  }

  toJSON(): { type: "ids"; vocabSize: number } {
    return { type: "ids", vocabSize: this.vocabSize };
  }

  #toWord(id: number): string {
    if (!Number.isInteger(id) || id < 0 || id >= this.vocabSize)
      throw unknownIdError(id, this.vocabSize);
    return ` ${id}`;
  }
}
