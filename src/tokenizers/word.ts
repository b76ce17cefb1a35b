// A word tokenizer: each word and each punctuation mark is a token. Sequences are short and easy to
// read, but no vocabulary contains every word.

import { checkOptions, quote } from "../errors.ts";
import { formatCount, inspectSymbol } from "../printing.ts";
import { countWords, matches, TokenList } from "./token-list.ts";
import { type Decoder, type Tokenizer, TokenizerError, unknownIdError } from "./tokenizer.ts";

export interface WordTrainingOptions {
  /** The maximum vocabulary size, including the three reserved tokens. Default: unlimited. */
  vocabSize?: number;
  /** "lower" converts all text to lower case, so that "The" and "the" are one token. */
  casing?: "keep" | "lower";
}

/** Matches a word (with inner apostrophes), or one punctuation or white-space character. */
const pattern = /[\p{L}\p{M}\p{N}_]+(?:['’][\p{L}\p{M}\p{N}_]+)*|./gsu;
const startsWithWord = (text: string) => /^[\p{L}\p{M}\p{N}_]/u.test(text);

/** The tokens with the first ids: an unknown word, the absence of a default space, a space. */
const RESERVED = ["<unk>", "<join>", " "];
const UNKNOWN = 0;
const JOIN = 1;
const SPACE = 2;

/** Returns the white space that decode() inserts between two tokens. */
function getDefaultGap(previous: string, next: string): "" | " " {
  const isAfterSpace = previous === "" || /^\s/.test(previous);
  const isWord = startsWithWord(next) || next === RESERVED[UNKNOWN];
  return isWord && !isAfterSpace ? " " : "";
}

/**
 * Default spacing costs no tokens: one space before a word, none before a punctuation mark. Other
 * spacing is explicit: one token per white-space character, or <join> before a word that has no
 * space before it. Decoding is therefore lossless, except that words outside the vocabulary become
 * <unk> and that casing "lower" loses capital letters. lost() lists the words that are affected.
 * @example
 * const tokenizer = WordTokenizer.train("To be, or not to be.");
 * console.log(tokenizer.decode(tokenizer.encode("not to be"))); // not to be
 */
export class WordTokenizer implements Tokenizer {
  /** The id of words that are not in the vocabulary. */
  static readonly unknown = UNKNOWN;
  /** The tokens with ids from 3 up, most frequent first. */
  readonly words: readonly string[];
  /** The encoding of upper-case letters. */
  readonly casing: "keep" | "lower";
  readonly #ids: Map<string, number>;

  constructor(words: Iterable<string>, options: Pick<WordTrainingOptions, "casing"> = {}) {
    checkOptions("WordTokenizer", options, ["casing"]);
    const { casing = "keep" } = options;
    if (casing !== "keep" && casing !== "lower")
      throw new TypeError(`WordTokenizer: casing is ${casing}, expected keep or lower`);
    this.words = [...words];
    this.casing = casing;
    this.#ids = new Map(this.words.map((word, i) => [word, i + RESERVED.length]));
    const invalid = this.words.find(
      (word, i) =>
        word.match(pattern)?.[0] !== word ||
        word === " " ||
        this.#ids.get(word) !== i + RESERVED.length,
    );
    if (invalid !== undefined) {
      const expected = "vocabulary entries must be single, distinct words";
      throw new TokenizerError(`WordTokenizer: ${expected}; got ${quote(invalid)}`);
    }
  }

  /** Returns a tokenizer for the most frequent words of a text. Ties: first occurrence first. */
  static train(text: string, options: WordTrainingOptions = {}): WordTokenizer {
    checkOptions("WordTokenizer.train", options, ["vocabSize", "casing"]);
    const { vocabSize = Infinity, casing = "keep" } = options;
    if (!(vocabSize === Infinity || Number.isInteger(vocabSize)) || vocabSize <= RESERVED.length)
      throw new TypeError(
        `WordTokenizer.train: vocabSize is ${vocabSize}, expected a whole number from 4 up`,
      );
    const counts = countWords("WordTokenizer.train", wordsOf(text, casing));
    return trainOnCounts(counts, { vocabSize, casing });
  }

  /** Reads the result of toJSON(). Throws a TokenizerError if the value is invalid. */
  static fromJSON(json: unknown): WordTokenizer {
    const { type, words, casing } = (json ?? {}) as Record<string, unknown>;
    const isWordList = Array.isArray(words) && words.every((word) => typeof word === "string");
    if (type !== "word" || !isWordList)
      throw new TokenizerError("WordTokenizer: JSON does not describe a word tokenizer");
    if (casing !== "keep" && casing !== "lower")
      throw new TokenizerError(`WordTokenizer: casing is ${casing}, expected keep or lower`);
    return new WordTokenizer(words, { casing });
  }

  get vocabSize(): number {
    return this.words.length + RESERVED.length;
  }

  encode(text: string): number[] {
    return this.#encode(text).toArray();
  }

  encodeToInt32(text: string): Int32Array {
    return this.#encode(text).toInt32Array();
  }

  #encode(text: string): TokenList {
    const ids = new TokenList();
    let previous = ""; // the text of the previous token
    let gap = ""; // the space after it; not encoded yet, since it may be the default gap
    const pushExplicitGap = (next: string) => {
      if (gap !== getDefaultGap(previous, next)) ids.push(gap === " " ? SPACE : JOIN);
      gap = "";
    };
    for (const match of matches(text, pattern)) {
      // "a" represents any word
      const canBeDefaultGap = gap === "" && getDefaultGap(previous, "a") === " ";
      if (match === " " && canBeDefaultGap) {
        gap = " ";
        continue;
      }
      const id = this.#getId(match);
      const next = this.#getText(id);
      pushExplicitGap(next);
      ids.push(id);
      previous = next;
    }
    pushExplicitGap(""); // a space at the end of the text
    return ids;
  }

  #getId(match: string): number {
    if (match === " ") return SPACE;
    return this.#ids.get(applyCasing(match, this.casing)) ?? UNKNOWN;
  }

  #getText(id: number): string {
    const text = RESERVED[id] ?? this.words[id - RESERVED.length];
    if (text === undefined) throw unknownIdError(id, this.vocabSize);
    return text;
  }

  /** Returns the distinct words and marks of a text that do not survive a round trip. */
  lost(text: string): string[] {
    const distinct = countWords("lost", matches(text, pattern)).keys();
    return [...distinct].filter((match) => this.#getText(this.#getId(match)) !== match);
  }

  decode(ids: Iterable<number>): string {
    const { write } = this.decoder();
    return Array.from(ids, write).join("");
  }

  decoder(): Decoder {
    let previous = "";
    let isAfterJoin = false;
    const write = (id: number) => {
      const next = this.#getText(id);
      const gap = isAfterJoin ? "" : getDefaultGap(previous, next);
      isAfterJoin = id === JOIN;
      if (isAfterJoin) return "";
      previous = next;
      return gap + next;
    };
    return { write, end: () => "" };
  }

  /** Returns the text that console.log() prints: the number of tokens. */
  toString(): string {
    return `WordTokenizer(${formatCount(this.vocabSize, "token")})`;
  }

  /** @internal */
  [inspectSymbol](): string {
    return this.toString();
  }

  toJSON(): { type: "word"; casing: "keep" | "lower"; words: readonly string[] } {
    return { type: "word", casing: this.casing, words: this.words };
  }
}

/** Returns a tokenizer for the most frequent words. Ties: in the order of the map. */
export function trainOnCounts(
  counts: ReadonlyMap<string, number>,
  { vocabSize = Infinity, casing = "keep" }: WordTrainingOptions,
): WordTokenizer {
  const words = [...counts].filter(([word]) => word !== " "); // has a reserved id
  const ranked = words.sort(([, a], [, b]) => b - a).map(([word]) => word);
  return new WordTokenizer(ranked.slice(0, vocabSize - RESERVED.length), { casing });
}

/** Yields the words and the marks of a text. */
export function* wordsOf(text: string, casing: "keep" | "lower"): Generator<string> {
  for (const match of matches(text, pattern)) yield applyCasing(match, casing);
}

function applyCasing(word: string, casing: "keep" | "lower"): string {
  return casing === "lower" ? word.toLowerCase() : word;
}
