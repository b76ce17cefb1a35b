// The encoding step of byte-pair encoding: adjacent pairs of tokens are merged, in the order in
// which the merges were learned, until no remaining pair has a merge.

import { Heap } from "./heap.ts";

/** The merges of a vocabulary. The rank of a merge is its position in the order of add() calls. */
export class MergeTable {
  readonly #ranks = new Map<number, Map<number, number>>(); // left id -> right id -> rank
  readonly #left: number[] = []; // by rank, like the next two
  readonly #right: number[] = [];
  readonly #result: number[] = [];

  get size(): number {
    return this.#result.length;
  }

  /** Adds the merge left, right -> result. Returns false if the pair already has a merge. */
  add(left: number, right: number, result: number): boolean {
    const ranks = this.#ranks.get(left) ?? new Map<number, number>();
    if (ranks.has(right)) return false;
    ranks.set(right, this.size);
    this.#ranks.set(left, ranks);
    this.#left.push(left);
    this.#right.push(right);
    this.#result.push(result);
    return true;
  }

  /**
   * Merges the tokens of one word: the pair with the lowest rank first, and the leftmost one among
   * equals. Time: O(n log n). The tokens are a linked list, so a merge moves no other token. The
   * queue holds candidate pairs as numbers: rank * 2^32 + the index of the left token.
   */
  apply(ids: readonly number[]): number[] {
    const n = ids.length;
    if (n < 2) return [...ids];
    const tokens = [...ids]; // -1: merged into the token on the left
    const next = ids.map((_, i) => i + 1);
    const previous = ids.map((_, i) => i - 1);
    const queue = new Heap<number>((a, b) => a < b);
    const enqueuePair = (index: number) => {
      const rank = this.#ranks.get(tokens[index])?.get(tokens[next[index]]);
      if (rank !== undefined) queue.push(rank * 2 ** 32 + index);
    };
    for (let index = 0; index < n - 1; index++) enqueuePair(index);
    for (let entry = queue.pop(); entry !== undefined; entry = queue.pop()) {
      const rank = Math.floor(entry / 2 ** 32);
      const index = entry % 2 ** 32;
      const right = next[index];
      // an earlier merge may have consumed one of the two tokens
      if (tokens[index] !== this.#left[rank] || tokens[right] !== this.#right[rank]) continue;
      tokens[index] = this.#result[rank];
      tokens[right] = -1;
      next[index] = next[right];
      if (next[index] < n) {
        previous[next[index]] = index;
        enqueuePair(index);
      }
      if (index > 0) enqueuePair(previous[index]);
    }
    return tokens.filter((id) => id !== -1);
  }
}
