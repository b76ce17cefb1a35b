// BPE training: the most frequent pair of adjacent tokens becomes a new token, repeatedly.
// Gage (1994) introduced the algorithm for compression; Sennrich, Haddow and Birch (2016) split
// words into subwords with it; Radford et al. (2019) start from bytes, so that no text is unknown.

import { byteAlphabet } from "./alphabet.ts";
import { Heap } from "./heap.ts";
import type { WordCounts } from "./word-counts.ts";

/** A pair of adjacent tokens with its occurrences. */
interface Pair {
  readonly left: number;
  readonly right: number;
  /** The current number of occurrences in the text. */
  count: number;
  /** The positions of its left token, in ascending order. Some may be out of date. */
  readonly positions: number[];
}

/** A pair and its count when it was queued. The count may have decreased since; it never rises. */
interface QueuedPair {
  readonly pair: Pair;
  readonly count: number;
}

/** Orders pairs by descending count. Ties: lower left id first, then lower right id. */
function isBefore(a: QueuedPair, b: QueuedPair): boolean {
  if (a.count !== b.count) return a.count > b.count;
  if (a.pair.left !== b.pair.left) return a.pair.left < b.pair.left;
  return a.pair.right < b.pair.right;
}

/**
 * Learns at most `maxMerges` merges, fewer if no pair occurs twice anymore. `words` are those of
 * the text; pairs do not cross word boundaries. Returns the tokens as binary strings (the 256
 * bytes, then one per merge), and the merges as pairs of ids.
 *
 * A merge updates only the counts next to its occurrences, so the time is not proportional to the
 * text length times the number of merges.
 */
export function learnMerges(
  words: WordCounts,
  maxMerges: number,
): { tokens: string[]; merges: [left: number, right: number][] } {
  const tokens = [...byteAlphabet];
  const merges: [left: number, right: number][] = [];
  const list = toLinkedList(words);
  const pairs = new Map<number, Pair>();
  const queue = new Heap<QueuedPair>(isBefore);
  let newPairs: Pair[] = [];

  /** Adds (sign 1) or removes (sign -1) the occurrence of a pair that starts at a position. */
  const updateCount = (position: number, sign: 1 | -1) => {
    const left = list.ids[position];
    const right = list.ids[list.next[position]];
    if (left === GAP || right === GAP) return;
    let pair = pairs.get(pairKey(left, right));
    if (!pair) {
      pair = { left, right, count: 0, positions: [] };
      pairs.set(pairKey(left, right), pair);
      newPairs.push(pair);
    }
    pair.count += sign * list.wordCounts[position];
    if (sign === 1) pair.positions.push(position);
  };
  const enqueueNewPairs = () => {
    for (const pair of newPairs) queue.push({ pair, count: pair.count });
    newPairs = [];
  };

  for (let position = 0; position < list.ids.length - 1; position++) updateCount(position, 1);
  enqueueNewPairs();
  while (merges.length < maxMerges) {
    const best = queue.pop();
    if (!best) break;
    const { pair } = best;
    if (pair.count < 2) continue;
    if (pair.count < best.count) {
      queue.push({ pair, count: pair.count });
      continue;
    }
    for (const position of pair.positions) {
      const right = list.next[position];
      // skip positions where another merge has consumed one of the tokens
      if (list.ids[position] !== pair.left || list.ids[right] !== pair.right) continue;
      const before = list.previous[position];
      const after = list.next[right];
      updateCount(before, -1);
      updateCount(position, -1);
      updateCount(right, -1);
      list.ids[position] = tokens.length;
      list.ids[right] = GAP;
      list.next[position] = after;
      list.previous[after] = position;
      updateCount(before, 1);
      updateCount(position, 1);
    }
    pairs.delete(pairKey(pair.left, pair.right));
    merges.push([pair.left, pair.right]);
    tokens.push(tokens[pair.left] + tokens[pair.right]);
    enqueueNewPairs();
  }
  return { tokens, merges };
}

/** Returns a pair of ids as one number, a key of a Map. */
function pairKey(left: number, right: number): number {
  return left * 2 ** 26 + right;
}

/** The id at a word boundary, and at a token that was merged into the one on its left. */
const GAP = -1;

/** The maximum total length of the distinct words. Each byte takes about 50 bytes of memory. */
const MAX_WORDS_BYTES = 2 ** 25;

/**
 * Returns all words as one doubly linked list of ids, with a GAP before and after each word. Throws
 * a RangeError if they are too long.
 */
function toLinkedList(words: WordCounts) {
  if (words.bytes > MAX_WORDS_BYTES) {
    const size = `${words.bytes.toLocaleString("en-US")} bytes`;
    const limit = `expected at most ${MAX_WORDS_BYTES.toLocaleString("en-US")}`;
    throw new RangeError(
      `BPETokenizer.train: the distinct words of the text have ${size}, ${limit}; ` +
        "train on a part of it",
    );
  }
  const byteIds = new Int32Array(256);
  for (const [id, byte] of byteAlphabet.entries()) byteIds[byte.charCodeAt(0)] = id;
  const length = 1 + words.bytes + words.size;
  const ids = new Int32Array(length).fill(GAP);
  const wordCounts = new Float64Array(length);
  let position = 1;
  for (let word = 0; word < words.size; word++) {
    for (const byte of words.getWord(word)) {
      ids[position] = byteIds[byte];
      wordCounts[position] = words.getCount(word);
      position++;
    }
    position++; // the GAP
  }
  return {
    ids,
    /** The number of occurrences of the word at each position. */
    wordCounts,
    next: ids.map((_, position) => position + 1),
    previous: ids.map((_, position) => position - 1),
  };
}
