// The encoding step of byte-pair encoding: adjacent pairs of tokens are merged, in the order in
// which the merges were learned, until no remaining pair has a merge.

import { Heap } from "./heap.ts";

/** The longest word, in tokens, that is searched for its best pair after each merge. */
const MAX_SHORT_WORD = 100;

const NO_MERGE = 0x7fffffff;

/** The merges of a vocabulary. The rank of a merge is its position in the order of add() calls. */
export class MergeTable {
  #size = 0;
  #slots = new Int32Array(1024); // open addressing: the rank of a pair plus 1, or 0
  #left = new Int32Array(512); // by rank, like the next two
  #right = new Int32Array(512);
  #result = new Int32Array(512);
  readonly #pairRanks = new Int32Array(MAX_SHORT_WORD); // of the word that is being merged

  get size(): number {
    return this.#size;
  }

  /** Adds the merge left, right -> result. Returns false if the pair already has a merge. */
  add(left: number, right: number, result: number): boolean {
    const slot = this.#findSlot(left, right);
    if (this.#slots[slot] !== 0) return false;
    this.#left[this.#size] = left;
    this.#right[this.#size] = right;
    this.#result[this.#size] = result;
    this.#slots[slot] = ++this.#size;
    if (this.#size === this.#left.length) this.#grow();
    return true;
  }

  /** Doubles the number of merges that there is room for. Half of the slots stay free. */
  #grow(): void {
    const resize = (values: Int32Array) => {
      const larger = new Int32Array(2 * values.length);
      larger.set(values);
      return larger;
    };
    this.#left = resize(this.#left);
    this.#right = resize(this.#right);
    this.#result = resize(this.#result);
    this.#slots = new Int32Array(2 * this.#slots.length);
    for (let rank = 0; rank < this.#size; rank++)
      this.#slots[this.#findSlot(this.#left[rank], this.#right[rank])] = rank + 1;
  }

  /** Returns the slot of a pair, or the free slot where it would be. */
  #findSlot(left: number, right: number): number {
    const mask = this.#slots.length - 1;
    let hash = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b);
    hash ^= hash >>> 15;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const rank = this.#slots[slot] - 1;
      if (rank < 0 || (this.#left[rank] === left && this.#right[rank] === right)) return slot;
    }
  }

  /** Returns the rank of a pair, or NO_MERGE. */
  #rankOf(left: number, right: number): number {
    const rank = this.#slots[this.#findSlot(left, right)] - 1;
    return rank < 0 ? NO_MERGE : rank;
  }

  /** Returns the tokens of one word after all merges. */
  apply(ids: readonly number[]): number[] {
    const tokens = Int32Array.from(ids);
    return Array.from(tokens.subarray(0, this.merge(tokens, tokens.length)));
  }

  /**
   * Merges the first n tokens of an array, those of one word, in place: the pair with the lowest
   * rank first, and the leftmost one among equals. Returns the number of tokens that are left.
   */
  merge(tokens: Int32Array, n: number): number {
    return n > MAX_SHORT_WORD ? this.#mergeLong(tokens, n) : this.#mergeShort(tokens, n);
  }

  /** Time: O(n^2), but faster than a queue for almost every word of a text. */
  #mergeShort(tokens: Int32Array, n: number): number {
    const ranks = this.#pairRanks; // of the pair that begins at each token
    let pairs = n - 1;
    for (let i = 0; i < pairs; i++) ranks[i] = this.#rankOf(tokens[i], tokens[i + 1]);
    while (pairs > 0) {
      let best = 0;
      for (let i = 1; i < pairs; i++) {
        if (ranks[i] < ranks[best]) best = i;
      }
      const rank = ranks[best];
      if (rank === NO_MERGE) break;
      tokens[best] = this.#result[rank];
      for (let i = best + 1; i < pairs; i++) {
        tokens[i] = tokens[i + 1];
        ranks[i - 1] = ranks[i];
      }
      pairs--;
      if (best > 0) ranks[best - 1] = this.#rankOf(tokens[best - 1], tokens[best]);
      if (best < pairs) ranks[best] = this.#rankOf(tokens[best], tokens[best + 1]);
    }
    return pairs + 1;
  }

  /**
   * Time: O(n log n). The tokens are a linked list, so a merge moves no other token. The queue
   * holds candidate pairs as numbers: rank * 2^32 + the index of the left token.
   */
  #mergeLong(tokens: Int32Array, n: number): number {
    const next = Int32Array.from({ length: n }, (_, i) => i + 1);
    const previous = Int32Array.from({ length: n }, (_, i) => i - 1);
    const queue = new Heap<number>((a, b) => a < b);
    const enqueuePair = (index: number) => {
      const rank = this.#rankOf(tokens[index], tokens[next[index]]);
      if (rank !== NO_MERGE) queue.push(rank * 2 ** 32 + index);
    };
    for (let index = 0; index < n - 1; index++) enqueuePair(index);
    for (let entry = queue.pop(); entry !== undefined; entry = queue.pop()) {
      const rank = Math.floor(entry / 2 ** 32);
      const index = entry % 2 ** 32;
      const right = next[index];
      // an earlier merge may have consumed one of the two tokens
      if (tokens[index] !== this.#left[rank] || tokens[right] !== this.#right[rank]) continue;
      tokens[index] = this.#result[rank];
      tokens[right] = -1; // merged into the token on the left
      next[index] = next[right];
      if (next[index] < n) {
        previous[next[index]] = index;
        enqueuePair(index);
      }
      if (index > 0) enqueuePair(previous[index]);
    }
    let count = 0;
    for (let index = 0; index < n; index = next[index]) tokens[count++] = tokens[index];
    return count;
  }
}
