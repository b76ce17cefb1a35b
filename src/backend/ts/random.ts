// What is drawn at random is a function of (seed, site, step, index): the backward pass of dropout
// rngState its mask again instead of storing it.

import { mulHigh, philox, streams } from "../../random.ts";
import type { Floats } from "../kernels.ts";

export function dropout(
  x: Floats, y: Floats, rngState: Int32Array, n: number, site: number, p: number,
): void {
  const scales = new Float64Array(8);
  for (let i = 0; i < n; i += 8) {
    const count = Math.min(8, n - i);
    keepScales(scales, i, count, rngState, site, p);
    for (let j = 0; j < count; j++) y[i + j] = x[i + j] * scales[j];
  }
}

const block = new Uint32Array(4);

/**
 * What elements first to first + n - 1 of a site are multiplied by: 0 where dropped, else the
 * scale.
 */
export function keepScales(
  out: Float64Array, first: number, n: number, rngState: Int32Array, site: number, p: number,
): void {
  const threshold = Math.round(65536 * p);
  const scale = 65536 / (65536 - threshold);
  for (let i = 0, drawn = -1; i < n; i++) {
    const element = first + i;
    const index = Math.floor(element / 8);
    if (index !== drawn) {
      philox(index, rngState[3] + site, rngState[2], streams.dropout, rngState[0], rngState[1], block);
      drawn = index;
    }
    const place = element % 8;
    const bits = (block[place >> 1] >>> (16 * (place & 1))) & 0xffff;
    out[i] = bits < threshold ? 0 : scale;
  }
}

export function sampleBatch(
  tokens: Int32Array, place: Int32Array, x: Int32Array, y: Int32Array, n: number, B: number,
  T: number, stream: number,
): void {
  if (!(n > T)) throw new RangeError(`sampleBatch: n is ${n}, expected more than T, ${T}`);
  const [low, high, step, site] = place;
  for (let b = 0; b < B; b++) {
    if (b % 4 === 0) philox(b / 4, site, step, stream, low, high, block);
    const start = mulHigh(block[b % 4], n - T) >>> 0;
    x.set(tokens.subarray(start, start + T), b * T);
    y.set(tokens.subarray(start + 1, start + T + 1), b * T);
  }
}
