// How byte-pair encoding learns its merges: the commonest pair of neighbouring tokens becomes a
// token, again and again. Gage (1994) made it to compress; Sennrich, Haddow and Birch (2016) to cut
// words into parts; Radford et al. (2019) let it begin with bytes, so that no text is unknown.

import { Heap } from "./heap.ts";
import { byteOrder, toBytes } from "./pretokenize.ts";

/** Two neighbouring tokens, how often they are that, and where. */
interface Pair {
  readonly left: number;
  readonly right: number;
  count: number;
  /** Where its left token stands or stood, from left to right. */
  readonly places: number[];
}

/** A pair as it was when it was queued. Its count may have fallen since; it never rises. */
interface Queued {
  readonly pair: Pair;
  readonly count: number;
}

/** More occurrences first; of equals the pair of the older tokens, the left one compared first. */
function isBefore(a: Queued, b: Queued): boolean {
  if (a.count !== b.count) return a.count > b.count;
  if (a.pair.left !== b.pair.left) return a.pair.left < b.pair.left;
  return a.pair.right < b.pair.right;
}

/**
 * The tokens, each a string of bytes, and the pairs of ids that they were merged from, at most
 * `most` of them: fewer if no pair occurs twice any more. `words` are the different words of a text
 * with the number of times that each occurs; pairs never reach over the end of one.
 *
 * Counts change only where a pair has merged, so that the time does not grow with text times
 * merges.
 */
export function learnMerges(
  words: ReadonlyMap<string, number>,
  most: number,
): { tokens: string[]; merges: [left: number, right: number][] } {
  const tokens = [...byteOrder];
  const merges: [left: number, right: number][] = [];
  const line = layOut(words);
  const pairs = new Map<number, Pair>();
  const queue = new Heap<Queued>(isBefore);
  let fresh: Pair[] = [];

  /** Counts the pair whose left token stands at a place, once more or once less. */
  const count = (at: number, isMore: boolean) => {
    const [left, right] = [line.ids[at], line.ids[line.next[at]]];
    if (left === GAP || right === GAP) return;
    let pair = pairs.get(pairKey(left, right));
    if (!pair) {
      pair = { left, right, count: 0, places: [] };
      pairs.set(pairKey(left, right), pair);
      fresh.push(pair);
    }
    pair.count += isMore ? line.weight[at] : -line.weight[at];
    if (isMore) pair.places.push(at);
  };
  const queueFresh = () => {
    for (const pair of fresh) queue.push({ pair, count: pair.count });
    fresh = [];
  };

  for (let at = 0; at < line.ids.length - 1; at++) count(at, true);
  queueFresh();
  while (merges.length < most) {
    const best = queue.pop();
    if (!best) break;
    const { pair } = best;
    if (pair.count < 2) continue;
    if (pair.count < best.count) {
      queue.push({ pair, count: pair.count });
      continue;
    }
    for (const at of pair.places) {
      const right = line.next[at];
      if (line.ids[at] !== pair.left || line.ids[right] !== pair.right) continue; // not any more
      const [before, after] = [line.previous[at], line.next[right]];
      for (const each of [before, at, right]) count(each, false);
      line.ids[at] = tokens.length;
      line.ids[right] = GAP;
      line.next[at] = after;
      line.previous[after] = at;
      for (const each of [before, at]) count(each, true);
    }
    pairs.delete(pairKey(pair.left, pair.right));
    merges.push([pair.left, pair.right]);
    tokens.push(tokens[pair.left] + tokens[pair.right]);
    queueFresh();
  }
  return { tokens, merges };
}

/** Two ids as one number. */
function pairKey(left: number, right: number): number {
  return left * 2 ** 26 + right;
}

/** Between words, and in the place of a token that was merged into the one on its left. */
const GAP = -1;

/** All words one behind the other as a linked list of ids, with a gap at both ends of each. */
function layOut(words: ReadonlyMap<string, number>) {
  const idOf = new Map(byteOrder.map((byte, id) => [byte, id]));
  const [ids, weight] = [[GAP], [0]];
  for (const [word, times] of words) {
    for (const byte of toBytes(word)) {
      ids.push(idOf.get(byte) as number);
      weight.push(times);
    }
    ids.push(GAP);
    weight.push(0);
  }
  return {
    ids: Int32Array.from(ids),
    /** How often the text has what stands here. */
    weight,
    next: Int32Array.from(ids, (_, at) => at + 1),
    previous: Int32Array.from(ids, (_, at) => at - 1),
  };
}
