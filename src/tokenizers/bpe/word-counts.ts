// The distinct words of a text and how often each occurs, from which the merges are learned.

import { checkWordLength, findWordEnd, forEachWord } from "./pretokenize.ts";
import { WordTable } from "./word-table.ts";

/** The name of the operation in error messages. */
const OP = "BPETokenizer.train";

/** The maximum number of distinct words. */
const MAX_DISTINCT_WORDS = 2 ** 23;

export class WordCounts {
  #words = new WordTable();
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

  /**
   * Drops the rarest words if there are more than `maxWords`, or if they have more than `maxBytes`
   * bytes: those that occur once, then twice, then up to four times.
   */
  dropRarest(maxWords: number, maxBytes: number): void {
    for (let limit = 1; this.size > maxWords || this.bytes > maxBytes; limit *= 2) {
      const words = this.#words;
      const counts = this.#counts;
      this.#words = new WordTable();
      this.#counts = new Float64Array(1024);
      for (let number = 0; number < words.size; number++) {
        const word = words.get(number);
        if (counts[number] > limit) this.add(word, 0, word.length, counts[number]);
      }
    }
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
