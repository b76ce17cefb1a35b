// The order of the data: where the sequences of a batch start. Random numbers are functions of RNG
// counters, so the order of a resumed run needs no state.

import { mulHigh, philox, type RngCounter, streams, toKey } from "../random.ts";
import { findPart } from "./tokens.ts";

/** The orders of the training data. */
export const dataOrders = ["random", "epochs"] as const;
export type DataOrder = (typeof dataOrders)[number];

/** The RNG counter of a batch; `site` is the number of the batch in its step. */
export interface BatchCounter {
  site: number;
  step: number;
  seed: number;
}

/** Returns the positions where the B sequences of a batch start. */
export type StartFunction = (counter: BatchCounter, B: number) => number[];

/**
 * Random positions that T tokens and the one after them follow: 32 random bits r map to
 * floor(r (n - T) / 2^32), as in the kernel sampleBatch. More positions take 53 bits.
 */
export function randomStarts(n: number, T: number, stream: RngCounter["stream"]): StartFunction {
  const count = n - T;
  const isSmall = count < 2 ** 32;
  const perBlock = isSmall ? 4 : 2;
  const block = new Uint32Array(4);
  return ({ site, step, seed }, B) =>
    Array.from({ length: B }, (_, b) => {
      if (b % perBlock === 0)
        philox(b / perBlock, site, step, streams[stream], ...toKey(seed), block);
      if (isSmall) return mulHigh(block[b % 4], count) >>> 0;
      const high = block[2 * (b % 2)] >>> 5;
      const low = block[2 * (b % 2) + 1] >>> 6;
      return Math.floor(((high * 2 ** 26 + low) / 2 ** 53) * count);
    });
}

/**
 * The first sequences of n tokens in order, the same for all steps; again from the start if they
 * are used up. The batch of `firstSite` has the first ones.
 */
export function fixedStarts(n: number, T: number, firstSite: number): StartFunction {
  const count = countSequences(n, T);
  return ({ site }, B) =>
    Array.from({ length: B }, (_, b) => (((site - firstSite) * B + b) % count) * T);
}

/**
 * Epochs: each part of the tokens is cut into sequences of T, which are used once an epoch. The
 * parts are shuffled, and the sequences in each part. An epoch cuts a part at another offset below
 * the remainder, because the tokens of the remainder are left out. Step s has the next
 * batches * B sequences after those of step s - 1.
 */
export function epochStarts(parts: readonly number[], T: number, batches: number): StartFunction {
  const order = new EpochOrder(parts, T);
  return ({ site, step, seed }, B) => {
    const first = (step * batches + site) * B;
    return Array.from({ length: B }, (_, b) => order.start(first + b, seed));
  };
}

/** Returns the number of sequences of T tokens in an epoch. */
export function sequencesPerEpoch(parts: readonly number[], T: number): number {
  return parts.reduce((sum, tokens) => sum + countSequences(tokens, T), 0);
}

/** The last token of a part is only a target. */
function countSequences(tokens: number, T: number): number {
  return Math.max(0, Math.floor((tokens - 1) / T));
}

/** A part of the data in an epoch. */
interface ShuffledPart {
  /** The position of its first sequence. */
  readonly position: number;
  readonly permute: (index: number) => number;
}

/** The sequences of all epochs. It remembers the epoch that was used last. */
class EpochOrder {
  readonly #parts: readonly number[];
  readonly #T: number;
  readonly #count: number;
  #epoch = -1;
  #seed = -1;
  #shuffled: ShuffledPart[] = [];
  #starts: number[] = []; // of each part: the number of sequences before it

  constructor(parts: readonly number[], T: number) {
    this.#parts = parts;
    this.#T = T;
    this.#count = sequencesPerEpoch(parts, T);
  }

  /** Returns the position of sequence n of the training. */
  start(n: number, seed: number): number {
    const epoch = Math.floor(n / this.#count);
    if (epoch !== this.#epoch || seed !== this.#seed) this.#shuffle(epoch, seed);
    const index = n % this.#count;
    const part = findPart(this.#starts, index);
    const { position, permute } = this.#shuffled[part];
    return position + permute(index - this.#starts[part]) * this.#T;
  }

  #shuffle(epoch: number, seed: number): void {
    const parts = this.#parts;
    const positions: number[] = [];
    let position = 0;
    for (const tokens of parts) {
      positions.push(position);
      position += tokens;
    }
    const permuteParts = permutation(parts.length, drawKeys(epoch, 0, seed));
    let before = 0;
    this.#shuffled = [];
    this.#starts = [];
    for (let i = 0; i < parts.length; i++) {
      const part = permuteParts(i);
      const count = countSequences(parts[part], this.#T);
      if (count === 0) continue;
      const [offsetBits, ...keys] = drawKeys(epoch, part + 1, seed);
      const remainder = (parts[part] - 1) % this.#T;
      this.#starts.push(before);
      this.#shuffled.push({
        position: positions[part] + (offsetBits % (remainder + 1)),
        permute: permutation(count, keys),
      });
      before += count;
    }
    this.#epoch = epoch;
    this.#seed = seed;
  }
}

/** Returns eight random numbers of 32 bits for a part of an epoch. */
function drawKeys(epoch: number, part: number, seed: number): number[] {
  const block = new Uint32Array(4);
  return [0, 1].flatMap((half) => {
    philox(half, part, epoch, streams.order, ...toKey(seed), block);
    return [...block];
  });
}

/**
 * Returns a pseudorandom permutation of 0 to n - 1 that is computed for one number at a time, by a
 * Feistel network: each round replaces a half of the bits by their XOR with a hash of the other
 * half. The network permutes the numbers below a power of 4; numbers from n up are permuted again
 * until one is below n ("cycle walking", Black and Rogaway 2002).
 */
export function permutation(n: number, keys: readonly number[]): (index: number) => number {
  let bits = 1;
  while (4 ** bits < n) bits++;
  const size = 2 ** bits;
  return (index) => {
    let x = index;
    do {
      let left = Math.floor(x / size);
      let right = x % size;
      for (const key of keys) [left, right] = [right, left ^ (hash(right ^ key) & (size - 1))];
      x = left * size + right;
    } while (x >= n);
    return x;
  };
}

/** Mixes 32 bits: the finalizer of MurmurHash3. */
function hash(x: number): number {
  let h = x;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
