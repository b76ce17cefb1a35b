// Kernels on quantized weights: one row at a time is converted to floats.

import type { Floats } from "../kernels.ts";
import { activations } from "./activations.ts";

/**
 * y = f(x W^T + b), W = scale w of 8 or 4 bits. x [M, K], w [N, K bits / 32], scale [N, groups],
 * b [N], y [M, N]
 */
export function linearQuantized(
  x: Floats,
  w: Int32Array,
  scale: Floats,
  b: Floats | null,
  y: Floats,
  M: number,
  N: number,
  K: number,
  groups: number,
  bits: number,
  activation: number,
): void {
  if (M * N === 0) return;
  const row = new Float64Array(K);
  for (let n = 0; n < N; n++) {
    dequantize(w, scale, row, n, groups, bits);
    for (let m = 0; m < M; m++) {
      let sum = b ? b[n] : 0;
      for (let k = 0; k < K; k++) sum += x[m * K + k] * row[k];
      y[m * N + n] = sum;
    }
  }
  activations[activation]?.(y, y, M * N);
}

/** y[r] = W[idx[r]]. idx [rows], y [rows, C] */
export function embeddingQuantized(
  idx: Int32Array,
  w: Int32Array,
  scale: Floats,
  y: Floats,
  rows: number,
  V: number,
  C: number,
  groups: number,
  bits: number,
): void {
  if (rows * C === 0) return;
  const row = new Float64Array(C);
  for (let r = 0; r < rows; r++) {
    const v = idx[r];
    if (!(v >= 0 && v < V)) {
      throw new RangeError(`embeddingQuantized: idx[${r}] is ${v}, expected 0 to ${V - 1}`);
    }
    dequantize(w, scale, row, v, groups, bits);
    y.set(row, r * C);
  }
}

/** Writes row r of the matrix to `row` as floats. */
function dequantize(
  w: Int32Array,
  scale: Floats,
  row: Float64Array,
  r: number,
  groups: number,
  bits: number,
): void {
  const firstWord = r * Math.ceil((row.length * bits) / 32);
  const perWord = 32 / bits; // numbers in a 32-bit word, the first in its lowest bits
  for (let k = 0; k < row.length; k++) {
    const word = w[firstWord + Math.floor(k / perWord)];
    const shift = 32 - bits * ((k % perWord) + 1); // moves the number to the highest bits
    row[k] = ((word << shift) >> (32 - bits)) * scale[r * groups + (groups === 1 ? 0 : k >> 5)];
  }
}
