// The heart of byte-pair encoding in use: pairs of neighbouring tokens merge into one, in a fixed
// order, until no pair that is left has a merge.

import { Heap } from "./heap.ts";

/** Merges in order: the earlier one was added, the earlier it is made. */
export class Merges {
  readonly #ranks = new Map<number, Map<number, number>>(); // left, right -> place in the order
  readonly #left: number[] = [];
  readonly #right: number[] = [];
  readonly #result: number[] = [];

  get size(): number {
    return this.#result.length;
  }

  /** left, right -> result. False if that pair has a merge already. */
  add(left: number, right: number, result: number): boolean {
    const ranks = this.#ranks.get(left) ?? new Map<number, number>();
    if (ranks.has(right)) return false;
    this.#ranks.set(left, ranks.set(right, this.size));
    this.#left.push(left);
    this.#right.push(right);
    this.#result.push(result);
    return true;
  }

  /**
   * The tokens that a word's bytes become: the earliest merge first, the leftmost of equals, in
   * O(n log n). Tokens are a linked list, so that none moves when two merge; the queue holds
   * rank 2^32 + place, smallest first.
   */
  apply(ids: readonly number[]): number[] {
    const n = ids.length;
    if (n < 2) return [...ids];
    const tokens = [...ids]; // -1: merged into the token on its left
    const next = ids.map((_, i) => i + 1);
    const previous = ids.map((_, i) => i - 1);
    const queue = new Heap<number>((a, b) => a < b);
    const propose = (at: number) => {
      const rank = this.#ranks.get(tokens[at])?.get(tokens[next[at]]);
      if (rank !== undefined) queue.push(rank * 2 ** 32 + at);
    };
    for (let at = 0; at < n - 1; at++) propose(at);
    for (let first = queue.pop(); first !== undefined; first = queue.pop()) {
      const [rank, at] = [Math.floor(first / 2 ** 32), first % 2 ** 32];
      const right = next[at];
      // another merge may have taken one of the two
      if (tokens[at] !== this.#left[rank] || tokens[right] !== this.#right[rank]) continue;
      tokens[at] = this.#result[rank];
      tokens[right] = -1;
      next[at] = next[right];
      if (next[at] < n) {
        previous[next[at]] = at;
        propose(at);
      }
      if (at > 0) propose(previous[at]);
    }
    return tokens.filter((id) => id !== -1);
  }
}
