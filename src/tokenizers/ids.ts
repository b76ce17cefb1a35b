// A tokenizer that reads and writes token ids as decimal numbers, for a model that was imported
// without its vocabulary.

import { formatCount, inspectSymbol } from "../printing.ts";
import { TokenList } from "./token-list.ts";
import { type Decoder, type Tokenizer, TokenizerError, unknownIdError } from "./tokenizer.ts";

/** Ids are stored as i32. */
const MAX_VOCAB_SIZE = 2 ** 31 - 1;

/** Each token is a decimal integer. White space separates the numbers and is not preserved. */
export class IdTokenizer implements Tokenizer {
  readonly vocabSize: number;

  constructor(vocabSize: number) {
    if (!(Number.isInteger(vocabSize) && vocabSize >= 1 && vocabSize <= MAX_VOCAB_SIZE))
      throw new TokenizerError(
        `IdTokenizer: vocabSize is ${vocabSize}, expected a whole number from 1 to ` +
          `${MAX_VOCAB_SIZE}`,
      );
    this.vocabSize = vocabSize;
  }

  /** Returns a tokenizer for all ids up to the largest one in a text. */
  static train(text: string): IdTokenizer {
    let largest = 0;
    for (const id of new IdTokenizer(MAX_VOCAB_SIZE).#parse(text)) largest = Math.max(largest, id);
    return new IdTokenizer(largest + 1);
  }

  /** Reads the result of toJSON(). Throws a TokenizerError if the value is invalid. */
  static fromJSON(json: unknown): IdTokenizer {
    const { type, vocabSize } = (json ?? {}) as { type?: unknown; vocabSize?: unknown };
    if (type !== "ids") throw new TokenizerError("IdTokenizer: JSON does not describe token ids");
    return new IdTokenizer(vocabSize as number); // throws unless it is a number
  }

  /** Throws a RangeError with the position of the first word that is not an id. */
  encode(text: string): number[] {
    return this.#encode(text).toArray();
  }

  encodeToInt32(text: string): Int32Array {
    return this.#encode(text).toInt32Array();
  }

  #encode(text: string): TokenList {
    const ids = new TokenList();
    for (const id of this.#parse(text)) ids.push(id);
    return ids;
  }

  *#parse(text: string): Generator<number> {
    let position = 0;
    for (const [word] of text.matchAll(/\S+/g)) {
      const id = /^\d+$/.test(word) ? Number(word) : Number.NaN;
      if (!(id < this.vocabSize)) {
        const name = JSON.stringify(word.slice(0, 40));
        const expected = `expected 0 to ${this.vocabSize - 1}`;
        throw new RangeError(`encode: ${name} at position ${position} is not an id, ${expected}`);
      }
      yield id;
      position++;
    }
  }

  /** Returns the ids, each preceded by a space, so that decoded texts can be concatenated. */
  decode(ids: Iterable<number>): string {
    return Array.from(ids, (id) => this.#toWord(id)).join("");
  }

  decoder(): Decoder {
    return { write: (id) => this.#toWord(id), end: () => "" };
  }

  /** Returns the text that console.log() prints: the number of tokens. */
  toString(): string {
    return `IdTokenizer(${formatCount(this.vocabSize, "token")})`;
  }

  /** @internal */
  [inspectSymbol](): string {
    return this.toString();
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
