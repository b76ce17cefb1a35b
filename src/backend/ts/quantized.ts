// Kernels on weights of a few bits: the numbers of a row become floats when its turn comes, and are
// forgotten again.

import type { Floats } from "../kernels.ts";
import { gelu, geluTanh, relu } from "./elementwise.ts";

const activations = [null, relu, gelu, geluTanh]; // by the contract's numbers

export function linearQuantized(
  x: Floats, w: Int32Array, scale: Floats, b: Floats | null, y: Floats, M: number, N: number,
  K: number, groups: number, bits: number, activation: number,
): void {
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

export function embeddingQuantized(
  idx: Int32Array, w: Int32Array, scale: Floats, y: Floats, rows: number, V: number, C: number,
  groups: number, bits: number,
): void {
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

/** Row r of the matrix, as floats. */
function dequantize(
  w: Int32Array, scale: Floats, row: Float64Array, r: number, groups: number, bits: number,
): void {
  const [first, each] = [r * Math.ceil((row.length * bits) / 32), 32 / bits];
  for (let k = 0; k < row.length; k++) {
    const word = w[first + Math.floor(k / each)];
    const above = 32 - bits * ((k % each) + 1); // the bits above the number leave to the left
    row[k] = ((word << above) >> (32 - bits)) * scale[r * groups + (groups === 1 ? 0 : k >> 5)];
  }
}
