// The distinct words of a text and how often each occurs, from which the merges are learned.

import { checkWordLength, findWordEnd, forEachWord } from "./pretokenize.ts";
import { WordTable } from "./word-table.ts";

/** The name of the operation in error messages. */
const OP = "BPETokenizer.train";

/** The maximum number of distinct words. */
const MAX_DISTINCT_WORDS = 2 ** 23;

export class WordCounts {
  readonly #words = new WordTable();
  #counts = new Float64Array(1024);

  /** Counts the words of a text. Throws a RangeError if there are too many distinct ones. */
  addText(text: string): void {
    forEachWord(OP, text, (bytes, begin, end) => this.add(bytes, begin, end));
  }

  /** Counts the words of a text in valid UTF-8, like addText(). */
  addUtf8(bytes: Uint8Array): void {
    for (let begin = 0; begin < bytes.length; ) {
      const end = findWordEnd(bytes, begin, bytes.length);
      checkWordLength(OP, end - begin);
      this.add(bytes, begin, end);
      begin = end;
    }
  }

  /** Counts `count` occurrences of the word in bytes[begin, end). */
  add(bytes: Uint8Array, begin: number, end: number, count = 1): void {
    const number = this.#words.add(bytes, begin, end);
    if (number === MAX_DISTINCT_WORDS) {
      const limit = MAX_DISTINCT_WORDS.toLocaleString("en-US");
      throw new RangeError(
        `${OP}: the text has more than ${limit} distinct words; train on a part of it`,
      );
    }
    if (number === this.#counts.length) {
      const larger = new Float64Array(2 * number);
      larger.set(this.#counts);
      this.#counts = larger;
    }
    this.#counts[number] += count;
  }

  /** The number of distinct words, which are numbered in the order of their first occurrence. */
  get size(): number {
    return this.#words.size;
  }

  /** The total length of the distinct words in bytes. */
  get bytes(): number {
    return this.#words.bytes;
  }

  /** Returns the bytes of a word. */
  getWord(number: number): Uint8Array {
    return this.#words.get(number);
  }

  /** Returns the number of occurrences of a word. */
  getCount(number: number): number {
    return this.#counts[number];
  }
}
