// Encodes the words of a text with the merges of a vocabulary. Most words of a text have occurred
// before, so the ids of a word are computed once and cached.

import type { TokenList } from "../token-list.ts";
import type { MergeTable } from "./encode.ts";
import { WordTable } from "./word-table.ts";

/** The maximum number of cached words, and the maximum length of one in bytes. */
const MAX_CACHED_WORDS = 2 ** 18;
const MAX_CACHED_BYTES = 64;

export class WordEncoder {
  readonly #byteIds: Int32Array;
  readonly #merges: MergeTable;
  readonly #wholeWords: ReadonlyMap<string, number> | undefined;
  readonly #cache = new WordTable();
  #idsEnds = new Int32Array(1024); // by number of the word: where its ids end in #ids
  #ids = new Int32Array(4096); // of all cached words
  #tokens = new Int32Array(MAX_CACHED_BYTES); // of the word that is being merged

  /**
   * `byteIds` has the id of each of the 256 bytes. A word that is in `wholeWords`, as a binary
   * string, becomes that id, whatever its merges are.
   */
  constructor(byteIds: Int32Array, merges: MergeTable, wholeWords?: ReadonlyMap<string, number>) {
    this.#byteIds = byteIds;
    this.#merges = merges;
    this.#wholeWords = wholeWords;
  }

  /** Appends the ids of the word in bytes[begin, end). */
  encode(bytes: Uint8Array, begin: number, end: number, ids: TokenList): void {
    if (end - begin > MAX_CACHED_BYTES) {
      const n = this.#merge(bytes, begin, end);
      for (let i = 0; i < n; i++) ids.push(this.#tokens[i]);
      return;
    }
    if (this.#cache.size === MAX_CACHED_WORDS) this.#cache.clear();
    const size = this.#cache.size;
    const number = this.#cache.add(bytes, begin, end);
    if (number === size) this.#store(number, this.#merge(bytes, begin, end));
    const idsEnd = this.#idsEnds[number];
    for (let i = this.#idsBegin(number); i < idsEnd; i++) ids.push(this.#ids[i]);
  }

  #idsBegin(number: number): number {
    return number === 0 ? 0 : this.#idsEnds[number - 1];
  }

  /** Leaves the ids of a word in #tokens, and returns their number. */
  #merge(bytes: Uint8Array, begin: number, end: number): number {
    if (end - begin > this.#tokens.length) this.#tokens = new Int32Array(end - begin);
    const id = this.#wholeWords?.get(toBinary(bytes, begin, end));
    if (id !== undefined) {
      this.#tokens[0] = id;
      return 1;
    }
    for (let i = begin; i < end; i++) this.#tokens[i - begin] = this.#byteIds[bytes[i]];
    return this.#merges.merge(this.#tokens, end - begin);
  }

  /** Caches the n ids in #tokens. */
  #store(number: number, n: number): void {
    const begin = this.#idsBegin(number);
    if (number === this.#idsEnds.length) this.#idsEnds = grow(this.#idsEnds);
    if (begin + n > this.#ids.length) this.#ids = grow(this.#ids);
    this.#ids.set(this.#tokens.subarray(0, n), begin);
    this.#idsEnds[number] = begin + n;
  }
}

/** Returns bytes as a binary string. */
function toBinary(bytes: Uint8Array, begin: number, end: number): string {
  let binary = "";
  for (let i = begin; i < end; i++) binary += String.fromCharCode(bytes[i]);
  return binary;
}

/** Returns an array of twice the length that begins with the same values. */
function grow(values: Int32Array): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(2 * values.length);
  larger.set(values);
  return larger;
}
