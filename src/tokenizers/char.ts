// A character tokenizer, the simplest kind: each character is a token.

import { quote } from "../errors.ts";
import { formatCount, inspectSymbol } from "../printing.ts";
import { TokenList } from "./token-list.ts";
import { type Decoder, type Tokenizer, TokenizerError, unknownIdError } from "./tokenizer.ts";

/**
 * Encodes each character (Unicode code point) as its index in the vocabulary.
 * @example
 * const tokenizer = CharTokenizer.train("hello");
 * console.log(tokenizer.encode("hole")); // [ 1, 3, 2, 0 ]
 */
export class CharTokenizer implements Tokenizer {
  /** The characters by id. */
  readonly characters: readonly string[];
  readonly #ids: Map<string, number>;

  /** `characters` is the vocabulary: a string or a list of distinct characters. */
  constructor(characters: Iterable<string>) {
    this.characters = [...characters];
    this.#ids = new Map(this.characters.map((character, id) => [character, id]));
    const invalid = this.characters.find(
      (entry, id) => [...entry].length !== 1 || this.#ids.get(entry) !== id,
    );
    if (invalid !== undefined) {
      const expected = "vocabulary entries must be single, distinct characters";
      throw new TokenizerError(`CharTokenizer: ${expected}; got ${quote(invalid)}`);
    }
  }

  /** Returns a tokenizer for all characters of a text, sorted by code point. */
  static train(text: string): CharTokenizer {
    const byCodePoint = (a: string, b: string) => (a.codePointAt(0) ?? 0) - (b.codePointAt(0) ?? 0);
    return new CharTokenizer([...new Set(text)].sort(byCodePoint));
  }

  /** Reads the result of toJSON(). Throws a TokenizerError if the value is invalid. */
  static fromJSON(json: unknown): CharTokenizer {
    const { type, characters } = (json ?? {}) as { type?: unknown; characters?: unknown };
    if (
      type !== "char" ||
      !Array.isArray(characters) ||
      !characters.every((character) => typeof character === "string")
    )
      throw new TokenizerError("CharTokenizer: JSON does not describe a character tokenizer");
    return new CharTokenizer(characters);
  }

  get vocabSize(): number {
    return this.characters.length;
  }

  /** Throws a RangeError with the position of the first character outside the vocabulary. */
  encode(text: string): number[] {
    return this.#encode(text).toArray();
  }

  encodeToInt32(text: string): Int32Array {
    return this.#encode(text).toInt32Array();
  }

  #encode(text: string): TokenList {
    const ids = new TokenList();
    for (const character of text) {
      const id = this.#ids.get(character);
      if (id === undefined) throw unknownCharacterError(character, ids.length);
      ids.push(id);
    }
    return ids;
  }

  decode(ids: Iterable<number>): string {
    return Array.from(ids, (id) => this.#getCharacter(id)).join("");
  }

  decoder(): Decoder {
    return { write: (id) => this.#getCharacter(id), end: () => "" };
  }

  /** Returns the text that console.log() prints: the number of tokens. */
  toString(): string {
    return `CharTokenizer(${formatCount(this.vocabSize, "token")})`;
  }

  /** @internal */
  [inspectSymbol](): string {
    return this.toString();
  }

  toJSON(): { type: "char"; characters: readonly string[] } {
    return { type: "char", characters: this.characters };
  }

  #getCharacter(id: number): string {
    const character = this.characters[id];
    if (character === undefined) throw unknownIdError(id, this.vocabSize);
    return character;
  }
}

function unknownCharacterError(character: string, position: number): RangeError {
  const code = character.codePointAt(0)?.toString(16).toUpperCase().padStart(4, "0");
  const name = `${JSON.stringify(character)} (U+${code})`;
  return new RangeError(
    `encode: character ${name} at position ${position} is not in the vocabulary`,
  );
}
