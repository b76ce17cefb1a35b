// The simplest tokenizer: a token is a character.

import { type Decoder, type Tokenizer, TokenizerError, unknownIdError } from "./tokenizer.ts";

/**
 * A token is a character (a Unicode code point); ids are positions in the sorted vocabulary.
 * @example
 * const tokenizer = CharTokenizer.train("hello");
 * console.log(tokenizer.encode("hole")); // [ 1, 3, 2, 0 ]
 */
export class CharTokenizer implements Tokenizer {
  readonly characters: readonly string[];
  readonly #ids: Map<string, number>;

  /** `characters` is the vocabulary, a string of different characters. */
  constructor(characters: Iterable<string>) {
    this.characters = [...characters];
    this.#ids = new Map(this.characters.map((character, id) => [character, id]));
    const odd = this.characters.find(
      (each, id) => [...each].length !== 1 || this.#ids.get(each) !== id,
    );
    if (odd !== undefined)
      throw new TokenizerError(
        `CharTokenizer: ${JSON.stringify(odd)} is not a single new character`,
      );
  }

  /** The tokenizer of all characters that a text has. */
  static train(text: string): CharTokenizer {
    const byCodePoint = (a: string, b: string) => (a.codePointAt(0) ?? 0) - (b.codePointAt(0) ?? 0);
    return new CharTokenizer([...new Set(text)].sort(byCodePoint));
  }

  static fromJSON(json: unknown): CharTokenizer {
    const { type, characters } = (json ?? {}) as { type?: unknown; characters?: unknown };
    if (
      type !== "char" ||
      !Array.isArray(characters) ||
      !characters.every((c) => typeof c === "string")
    )
      throw new TokenizerError("CharTokenizer: JSON is not that of a character tokenizer");
    return new CharTokenizer(characters);
  }

  get vocabSize(): number {
    return this.characters.length;
  }

  /** Throws at a character that the vocabulary lacks, with its name and position. */
  encode(text: string): number[] {
    const ids: number[] = [];
    for (const character of text) {
      const id = this.#ids.get(character);
      if (id === undefined) throw new RangeError(unknown(character, ids.length));
      ids.push(id);
    }
    return ids;
  }

  decode(ids: Iterable<number>): string {
    return Array.from(ids, (id) => this.#characterOf(id)).join("");
  }

  decoder(): Decoder {
    return { write: (id) => this.#characterOf(id), end: () => "" };
  }

  toJSON(): { type: "char"; characters: readonly string[] } {
    return { type: "char", characters: this.characters };
  }

  #characterOf(id: number): string {
    const character = this.characters[id];
    if (character === undefined) throw unknownIdError(id, this.vocabSize);
    return character;
  }
}

function unknown(character: string, position: number): string {
  const code = character.codePointAt(0)?.toString(16).toUpperCase().padStart(4, "0");
  const name = `${JSON.stringify(character)} (U+${code})`;
  return `encode: character ${name} at position ${position} is not in the vocabulary`;
}
