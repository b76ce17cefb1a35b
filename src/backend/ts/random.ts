// Random kernels. A random number is a function of (seed, step, site, index), so the backward pass
// of dropout recomputes the mask instead of storing it.

import { mulHigh, philox, streams } from "../../random.ts";
import type { Floats } from "../kernels.ts";

/** y = x times the scales of dropoutScales(), from element 0 on. x, y [n] */
export function dropout(
  x: Floats,
  y: Floats,
  rngState: Int32Array,
  n: number,
  site: number,
  p: number,
): void {
  const scales = new Float64Array(8);
  for (let i = 0; i < n; i += 8) {
    const count = Math.min(8, n - i);
    dropoutScales(scales, i, count, rngState, site, p);
    for (let j = 0; j < count; j++) y[i + j] = x[i + j] * scales[j];
  }
}

const block = new Uint32Array(4);

/**
 * The factors of elements first to first + n - 1 of a site: 0 with probability p, otherwise
 * 1 / (1 - p). An element takes 16 random bits, and is dropped if they are below round(65536 p).
 */
export function dropoutScales(
  scales: Float64Array,
  first: number,
  n: number,
  rngState: Int32Array,
  site: number,
  p: number,
): void {
  const [keyLow, keyHigh, step, siteOffset] = rngState;
  const threshold = Math.round(65536 * p);
  const scale = 65536 / (65536 - threshold);
  let current = -1; // the index of the Philox block in `block`
  for (let i = 0; i < n; i++) {
    const element = first + i;
    const index = Math.floor(element / 8); // a block serves eight elements
    if (index !== current) {
      philox(index, siteOffset + site, step, streams.dropout, keyLow, keyHigh, block);
      current = index;
    }
    const position = element % 8;
    const bits = (block[position >> 1] >>> (16 * (position & 1))) & 0xffff;
    scales[i] = bits < threshold ? 0 : scale;
  }
}

/**
 * x = B pieces of T tokens, y = the same pieces one token later, at random starts. tokens [n],
 * counter [4], x, y [B, T]
 */
export function sampleBatch(
  tokens: Int32Array,
  counter: Int32Array,
  x: Int32Array,
  y: Int32Array,
  n: number,
  B: number,
  T: number,
  stream: number,
): void {
  if (B * T === 0) return;
  if (!(n > T)) throw new RangeError(`sampleBatch: n is ${n}, expected more than T, ${T}`);
  const [keyLow, keyHigh, step, site] = counter;
  for (let b = 0; b < B; b++) {
    if (b % 4 === 0) philox(b / 4, site, step, stream, keyLow, keyHigh, block);
    const start = mulHigh(block[b % 4], n - T) >>> 0;
    x.set(tokens.subarray(start, start + T), b * T);
    y.set(tokens.subarray(start + 1, start + T + 1), b * T);
  }
}
