// Token ids as they are: for a model that came without its vocabulary.

import { type Decoder, type Tokenizer, TokenizerError, unknownIdError } from "./tokenizer.ts";

/** A token is a whole number in the text, apart from the next by white space, which is lost. */
export class IdTokenizer implements Tokenizer {
  readonly vocabSize: number;

  constructor(vocabSize: number) {
    if (!Number.isSafeInteger(vocabSize) || vocabSize < 1)
      throw new TokenizerError(`IdTokenizer: vocabSize is ${vocabSize}, expected 1 or more`);
    this.vocabSize = vocabSize;
  }

  /** The tokenizer of all ids up to the largest that a text has. */
  static train(text: string): IdTokenizer {
    const ids = new IdTokenizer(Number.MAX_SAFE_INTEGER).encode(text);
    return new IdTokenizer(ids.reduce((most, id) => Math.max(most, id), 0) + 1);
  }

  static fromJSON(json: unknown): IdTokenizer {
    return new IdTokenizer((json as { vocabSize: number }).vocabSize);
  }

  /** Throws at a word that is no id, with its position among the words. */
  encode(text: string): number[] {
    const words = text.split(/\s+/).filter((word) => word !== "");
    return words.map((word, position) => {
      const id = /^\d+$/.test(word) ? Number(word) : Number.NaN;
      if (id < this.vocabSize) return id;
      const [what, most] = [JSON.stringify(word), this.vocabSize - 1];
      throw new RangeError(
        `encode: ${what} at position ${position} is no id, expected 0 to ${most}`,
      );
    });
  }

  /** The ids, a space before each, so that pieces can be put together. */
  decode(ids: Iterable<number>): string {
    return Array.from(ids, (id) => this.#wordOf(id)).join("");
  }

  decoder(): Decoder {
    return { write: (id) => this.#wordOf(id), end: () => "" };
  }

  toJSON(): { type: "ids"; vocabSize: number } {
    return { type: "ids", vocabSize: this.vocabSize };
  }

  #wordOf(id: number): string {
    if (Number.isInteger(id) && id >= 0 && id < this.vocabSize) return ` ${id}`;
    throw unknownIdError(id, this.vocabSize);
  }
}
