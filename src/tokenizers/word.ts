// A token is a word or a mark: short sequences that are easy to look at, but a vocabulary that
// never has every word.

import { checkOptions } from "../errors.ts";
import { type Decoder, type Tokenizer, TokenizerError, unknownIdError } from "./tokenizer.ts";

export interface WordTraining {
  /** How many tokens there may be, three reserved ones counted; any number if left out. */
  vocabSize?: number;
  /** "lower" makes no difference between The and the. */
  casing?: "keep" | "lower";
}

/** A word, with apostrophes inside of it; else a single mark, or a single character of space. */
const piece = /[\p{L}\p{M}\p{N}_]+(?:['’][\p{L}\p{M}\p{N}_]+)*|./gsu;
const isWord = (text: string) => /^[\p{L}\p{M}\p{N}_]/u.test(text);

/** The first ids: for a word that has none, for no space where one is usual, for a space. */
const RESERVED = ["<unk>", "<join>", " "];
const [UNKNOWN, JOIN, SPACE] = [0, 1, 2];

/** What decode() puts between two tokens. */
function usualGap(last: string, next: string): "" | " " {
  const isFirst = last === "" || /^\s/.test(last);
  return !isFirst && (isWord(next) || next === RESERVED[UNKNOWN]) ? " " : "";
}

/**
 * White space costs no token where it is as usual: one space before a word, none before a mark.
 * Where it is not, tokens tell: one for each character of space, or <join> for a word with no space
 * before it. So a text comes back as it was, but for words that the vocabulary lacks, which come
 * back as <unk>, and for capitals if the casing is "lower"; lost() tells which.
 * @example
 * const tokenizer = WordTokenizer.train("To be, or not to be.");
 * console.log(tokenizer.decode(tokenizer.encode("not to be"))); // not to be
 */
export class WordTokenizer implements Tokenizer {
  /** The id of a word that the vocabulary lacks. */
  static readonly unknown = UNKNOWN;
  /** What has ids from 3 on, the commonest first. */
  readonly words: readonly string[];
  readonly casing: "keep" | "lower";
  readonly #ids: Map<string, number>;

  constructor(words: Iterable<string>, options: Pick<WordTraining, "casing"> = {}) {
    checkOptions("WordTokenizer", options, ["casing"]);
    const { casing = "keep" } = options;
    if (casing !== "keep" && casing !== "lower")
      throw new TypeError(`WordTokenizer: casing is ${casing}, expected keep or lower`);
    this.words = [...words];
    this.casing = casing;
    this.#ids = new Map(this.words.map((word, i) => [word, i + RESERVED.length]));
    const odd = this.words.find(
      (word, i) =>
        word.match(piece)?.[0] !== word ||
        word === " " ||
        this.#ids.get(word) !== i + RESERVED.length,
    );
    if (odd !== undefined)
      throw new TokenizerError(`WordTokenizer: ${JSON.stringify(odd)} is not a single new word`);
  }

  /** The tokenizer of a text's commonest words; of equally common ones, those seen first. */
  static train(text: string, options: WordTraining = {}): WordTokenizer {
    checkOptions("WordTokenizer.train", options, ["vocabSize", "casing"]);
    const { vocabSize = Infinity, casing = "keep" } = options;
    if (!(vocabSize === Infinity || Number.isInteger(vocabSize)) || vocabSize <= RESERVED.length)
      throw new TypeError(
        `WordTokenizer.train: vocabSize is ${vocabSize}, expected a whole number from 4 up`,
      );
    const counts = new Map<string, number>();
    for (const [found] of text.matchAll(piece)) {
      const word = fold(found, casing);
      counts.set(word, (counts.get(word) ?? 0) + 1);
    }
    counts.delete(" "); // has an id anyway
    const ranked = [...counts].sort(([, a], [, b]) => b - a).map(([word]) => word);
    return new WordTokenizer(ranked.slice(0, vocabSize - RESERVED.length), { casing });
  }

  static fromJSON(json: unknown): WordTokenizer {
    const { type, words, casing } = (json ?? {}) as Record<string, unknown>;
    if (type !== "word" || !Array.isArray(words) || !words.every((w) => typeof w === "string"))
      throw new TokenizerError("WordTokenizer: JSON is not that of a word tokenizer");
    if (casing !== "keep" && casing !== "lower")
      throw new TokenizerError(`WordTokenizer: casing is ${casing}, expected keep or lower`);
    return new WordTokenizer(words, { casing });
  }

  get vocabSize(): number {
    return this.words.length + RESERVED.length;
  }

  encode(text: string): number[] {
    const ids: number[] = [];
    let last = ""; // the token before, as decode() writes it
    let space = ""; // a space since then, which may turn out to be the usual one
    const put = (next: string, id: number) => {
      const usual = usualGap(last, next);
      if (space !== usual) ids.push(space ? SPACE : JOIN);
      if (next) ids.push(id);
      [last, space] = [next, ""];
    };
    for (const [found] of text.matchAll(piece)) {
      if (found === " " && space === "" && usualGap(last, "a") === " ") {
        space = " ";
        continue;
      }
      const id = this.#idOf(found);
      put(this.#textOf(id), id);
    }
    put("", UNKNOWN);
    return ids;
  }

  #idOf(found: string): number {
    return found === " " ? SPACE : (this.#ids.get(fold(found, this.casing)) ?? UNKNOWN);
  }

  #textOf(id: number): string {
    const text = RESERVED[id] ?? this.words[id - RESERVED.length];
    if (text === undefined) throw unknownIdError(id, this.vocabSize);
    return text;
  }

  /** The different words and marks of a text that do not come back as they are. */
  lost(text: string): string[] {
    const pieces = new Set(Array.from(text.matchAll(piece), ([found]) => found));
    return [...pieces].filter((found) => this.#textOf(this.#idOf(found)) !== found);
  }

  decode(ids: Iterable<number>): string {
    const { write } = this.decoder();
    return Array.from(ids, write).join("");
  }

  decoder(): Decoder {
    let last = "";
    let isJoined = false;
    const write = (id: number) => {
      const next = this.#textOf(id);
      const gap = isJoined ? "" : usualGap(last, next);
      isJoined = id === JOIN;
      if (isJoined) return "";
      last = next;
      return gap + next;
    };
    return { write, end: () => "" };
  }

  toJSON(): { type: "word"; casing: "keep" | "lower"; words: readonly string[] } {
    return { type: "word", casing: this.casing, words: this.words };
  }
}

function fold(word: string, casing: "keep" | "lower"): string {
  return casing === "lower" ? word.toLowerCase() : word;
}
