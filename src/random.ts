// The counter-based generator Philox 4x32-10: the n-th number is a function of n, not of a hidden
// state, so that every device draws the same numbers, in any order, and draws them again at will.
// Salmon, Moraes, Dror and Shaw: "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).

/** What a number is drawn for. Streams never share a number. */
export const streams = { init: 0, batch: 1, dropout: 2, evaluation: 3, sample: 4 } as const;

/** Where a draw stands: the place of use (`site`), the training step, and the stream. */
export interface Place {
  site: number;
  step?: number;
  stream: keyof typeof streams;
  seed?: number;
}

const generator = { seed: 1337, step: 0, site: 0, changes: 0 };

/** Starts the generator anew: equal seeds, equal numbers on every device. */
export function manualSeed(seed: number): void {
  checkSeed("manualSeed", seed);
  Object.assign(generator, { seed, step: 0, site: 0, changes: generator.changes + 1 });
}

export function checkSeed(op: string, seed: number): void {
  if (!Number.isSafeInteger(seed) || seed < 0)
    throw new TypeError(`${op}: seed is ${seed}, expected a whole number from 0 up`);
}

/** Begins a training step: sites are counted from 0 again, so a step can be drawn again alone. */
export function beginStep(step: number): void {
  Object.assign(generator, { step, site: 0, changes: generator.changes + 1 });
}

/** A fresh number for a place of use, the first of `count` in a row. */
export function nextSite(count = 1): number {
  generator.site += count;
  return generator.site - count;
}

/**
 * The state that kernels draw from, [key low, key high, step, first site], and a count of its
 * changes.
 */
export function rngState(): { state: Int32Array; changes: number } {
  const [low, high] = keyOf(generator.seed);
  return { state: Int32Array.of(low, high, generator.step, 0), changes: generator.changes };
}

/** A place as kernels take it: [key low, key high, step, site]. */
export function placeState(place: Omit<Place, "stream">): Int32Array {
  const { site, step = 0, seed = generator.seed } = place;
  return Int32Array.of(...keyOf(seed), step, site);
}

function keyOf(seed: number): [number, number] {
  return [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0];
}

/**
 * One Philox block: ten rounds over the counter [c0, c1, c2, c3] under the key [k0, k1] give four
 * 32-bit words, written to `out`.
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

/** The upper 32 bits of the 64-bit product of two unsigned 32-bit numbers, from 16-bit halves. */
export function mulHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = (middle & 0xffff) + aLow * bHigh;
  return (aHigh * bHigh + (middle >>> 16) + (carry >>> 16)) | 0;
}

/** The 32-bit words 0 to n-1 of a place. */
export function words(n: number, place: Place): Uint32Array {
  const [k0, k1] = keyOf(place.seed ?? generator.seed);
  const all = new Uint32Array(Math.ceil(n / 4) * 4);
  for (let i = 0; i < all.length; i += 4) {
    const block = all.subarray(i, i + 4);
    philox(i / 4, place.site, place.step ?? 0, streams[place.stream], k0, k1, block);
  }
  return all.subarray(0, n);
}

/** n numbers of the uniform distribution over [0, 1), each with 32 random bits. */
export function uniform(n: number, place: Place): Float64Array {
  return Float64Array.from(words(n, place)).map((word) => word / 2 ** 32);
}

/** n numbers of the standard normal distribution (Box and Muller, 1958), in double precision. */
export function normal(n: number, place: Place): Float64Array {
  const bits = words(n + (n % 2), place);
  const out = new Float64Array(n);
  for (let i = 0; i < n; i += 2) {
    const radius = Math.sqrt(-2 * Math.log((bits[i] + 1) / 2 ** 32));
    const angle = (2 * Math.PI * bits[i + 1]) / 2 ** 32;
    out[i] = radius * Math.cos(angle);
    if (i + 1 < n) out[i + 1] = radius * Math.sin(angle);
  }
  return out;
}

/** Runs `fn` and puts the generator back: a second run draws the same numbers. */
export function replay<T>(fn: () => T): T {
  const before = { ...generator };
  try {
    return fn();
  } finally {
    Object.assign(generator, before, { changes: generator.changes + 1 });
  }
}
