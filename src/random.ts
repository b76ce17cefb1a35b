// The counter-based generator Philox 4x32-10: the n-th number is a function of n instead of a
// hidden state, so that every device generates the same numbers, in any order and as often as
// needed. Salmon, Moraes, Dror and Shaw: "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).

import { describe } from "./errors.ts";

/** The purposes of random numbers. Numbers of different streams are independent. */
export const streams = {
  init: 0,
  batch: 1,
  dropout: 2,
  evaluation: 3,
  sample: 4,
  order: 5,
} as const;

/** A counter of the generator, and its key. */
export interface RngCounter {
  /** The call index: a step numbers its uses of random numbers from 0. */
  site: number;
  /** The training step. */
  step?: number;
  stream: keyof typeof streams;
  seed?: number;
}

/** The number of changes of all generators. */
let changeCount = 0;

/** A generator of its own: a run draws the same numbers whatever else the process does. */
export class Generator {
  seed: number;
  step = 0;
  /** The next unused site. */
  site = 0;
  /** Identifies the state of seed and step: no other state of any generator has this number. */
  change = ++changeCount;

  constructor(seed: number) {
    this.seed = seed;
  }
}

/** The generator in use: that of the caller of the library, or within useGenerator() another. */
let generator = new Generator(1337);

/** Runs a synchronous function that draws its random numbers from another generator. */
export function useGenerator<T>(other: Generator, fn: () => T): T {
  const previous = generator;
  generator = other;
  try {
    return fn();
  } finally {
    generator = previous;
  }
}

/**
 * Resets the generator: equal seeds produce equal numbers on every device. A run of train() has a
 * generator of its own, which depends on its option `seed` alone.
 * @example
 * manualSeed(1337);
 * const x = randn([2, 3]); // the same numbers on every device
 */
export function manualSeed(seed: number): void {
  checkSeed("manualSeed", seed);
  generator.seed = seed;
  beginStep(0);
}

export function checkSeed(op: string, seed: number): void {
  if (!Number.isSafeInteger(seed) || seed < 0)
    throw new TypeError(`${op}: seed is ${describe(seed)}, expected a whole number from 0 up`);
}

/** Begins a training step: sites count from 0 again, so a step can be repeated by itself. */
export function beginStep(step: number): void {
  generator.step = step;
  generator.site = 0;
  generator.change = ++changeCount;
}

/**
 * Continues with a site, so that a part of a step draws the same numbers whichever process computes
 * it, and whatever was computed before.
 */
export function moveToSite(site: number): void {
  generator.site = site;
}

/** Returns the seed of the generator. */
export function currentSeed(): number {
  return generator.seed;
}

/** Returns an unused site, the first of `count` in a row. */
export function nextSite(count = 1): number {
  generator.site += count;
  return generator.site - count;
}

/**
 * Returns the state that random kernels read, [key low, key high, step, site offset], and a number
 * that identifies it.
 */
export function rngState(): { state: Int32Array; change: number } {
  const [low, high] = toKey(generator.seed);
  return { state: Int32Array.of(low, high, generator.step, 0), change: generator.change };
}

/** Returns a counter as kernels take it: [key low, key high, step, site]. */
export function philoxCounter(counter: Omit<RngCounter, "stream">): Int32Array {
  const { site, step = 0, seed = generator.seed } = counter;
  return Int32Array.of(...toKey(seed), step, site);
}

/** Returns a seed as the key of Philox: its low and its high 32 bits. */
export function toKey(seed: number): [number, number] {
  return [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0];
}

/**
 * Computes one Philox block: ten rounds over the counter [c0, c1, c2, c3] with the key [k0, k1].
 * Writes four 32-bit integers to `out`.
 */
export function philox(
  c0: number,
  c1: number,
  c2: number,
  c3: number,
  k0: number,
  k1: number,
  out: Uint32Array,
): void {
  for (let round = 0; round < 10; round++) {
    const high0 = mulHigh(0xd2511f53, c0);
    const low0 = Math.imul(0xd2511f53, c0);
    const high1 = mulHigh(0xcd9e8d57, c2);
    const low1 = Math.imul(0xcd9e8d57, c2);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + 0x9e3779b9) | 0;
    k1 = (k1 + 0xbb67ae85) | 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/** Returns the upper 32 bits of the product of two unsigned 32-bit integers. */
export function mulHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = (middle & 0xffff) + aLow * bHigh;
  return (aHigh * bHigh + (middle >>> 16) + (carry >>> 16)) | 0;
}

/** Returns the first n random 32-bit integers of a counter. */
export function randomBits(n: number, counter: RngCounter): Uint32Array {
  const { site, step = 0, stream, seed = generator.seed } = counter;
  const [k0, k1] = toKey(seed);
  const all = new Uint32Array(Math.ceil(n / 4) * 4);
  for (let i = 0; i < all.length; i += 4) {
    const block = all.subarray(i, i + 4);
    philox(i / 4, site, step, streams[stream], k0, k1, block);
  }
  return all.subarray(0, n);
}

/** Returns n samples of the uniform distribution over [0, 1), each with 32 random bits. */
export function uniform(n: number, counter: RngCounter): Float64Array {
  return Float64Array.from(randomBits(n, counter)).map((bits) => bits / 2 ** 32);
}

/** Returns n samples of the standard normal distribution (Box and Muller, 1958), in f64. */
export function normal(n: number, counter: RngCounter): Float64Array {
  const bits = randomBits(n + (n % 2), counter);
  const out = new Float64Array(n);
  for (let i = 0; i < n; i += 2) {
    const radius = Math.sqrt(-2 * Math.log((bits[i] + 1) / 2 ** 32));
    const angle = (2 * Math.PI * bits[i + 1]) / 2 ** 32;
    out[i] = radius * Math.cos(angle);
    if (i + 1 < n) out[i + 1] = radius * Math.sin(angle);
  }
  return out;
}

/** Runs `fn` and restores the generator: a second run gets the same numbers. */
export function replay<T>(fn: () => T): T {
  const { seed, step, site } = generator;
  try {
    return fn();
  } finally {
    generator.seed = seed;
    generator.step = step;
    generator.site = site;
    generator.change = ++changeCount;
  }
}
