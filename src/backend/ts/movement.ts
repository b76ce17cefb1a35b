// Movement kernels: data moves, nothing is computed. A shape is seen as [outer, n, inner] around
// one axis, so that one loop serves tensors of every rank.

import type { Floats } from "../kernels.ts";

type Values = Floats | Int32Array;

/** y = x */
export function copy(x: Values, y: Values, n: number): void {
  y.set(x.length === n ? x : x.subarray(0, n));
}

/** y = value */
export function fill(y: Values, value: number, n: number): void {
  y.fill(value, 0, n);
}

/** y[o, b, a, i] = x[o, a, b, i]. x [outer, p, q, inner], y [outer, q, p, inner] */
export function transpose(
  x: Values,
  y: Values,
  outer: number,
  p: number,
  q: number,
  inner: number,
): void {
  if (outer * p * q * inner === 0) return;
  let to = 0;
  for (let o = 0; o < outer; o++) {
    for (let b = 0; b < q; b++) {
      for (let a = 0; a < p; a++) {
        const from = ((o * p + a) * q + b) * inner;
        for (let i = 0; i < inner; i++) y[to++] = x[from + i];
      }
    }
  }
}

/** y[o, j, i] = x[o, i] for each j. x [outer, inner], y [outer, n, inner] */
export function expand(x: Values, y: Values, outer: number, n: number, inner: number): void {
  if (outer * n * inner === 0) return;
  let to = 0;
  for (let o = 0; o < outer; o++) {
    for (let j = 0; j < n; j++) {
      for (let i = 0; i < inner; i++) y[to++] = x[o * inner + i];
    }
  }
}

/** y = x[:, start : start + count, :]. x [outer, n, inner], y [outer, count, inner] */
export function slice(
  x: Values,
  y: Values,
  outer: number,
  n: number,
  inner: number,
  start: number,
  count: number,
): void {
  if (outer * count * inner === 0) return;
  for (let o = 0; o < outer; o++) {
    const from = (o * n + start) * inner;
    y.set(x.subarray(from, from + count * inner), o * count * inner);
  }
}

/** y[:, start : start + count, :] = x. x [outer, count, inner], y [outer, n, inner] */
export function sliceUpdate(
  x: Values,
  y: Values,
  outer: number,
  n: number,
  inner: number,
  start: number,
  count: number,
): void {
  if (outer * count * inner === 0) return;
  for (let o = 0; o < outer; o++) {
    const piece = x.subarray(o * count * inner, (o + 1) * count * inner);
    y.set(piece, (o * n + start) * inner);
  }
}

/** y[r] = w[idx[r]]. idx [rows], w [V, C], y [rows, C] */
export function embedding(
  idx: Int32Array,
  w: Floats,
  y: Floats,
  rows: number,
  V: number,
  C: number,
): void {
  if (rows * C === 0) return;
  for (let r = 0; r < rows; r++) {
    const v = idx[r];
    if (!(v >= 0 && v < V)) {
      throw new RangeError(`embedding: idx[${r}] is ${v}, expected 0 to ${V - 1}`);
    }
    for (let c = 0; c < C; c++) y[r * C + c] = w[v * C + c];
  }
}

/** dw[v] = the sum of dy[r] over the rows with idx[r] = v. dy [rows, C], dw [V, C] */
export function embeddingBackward(
  idx: Int32Array,
  dy: Floats,
  dw: Floats,
  rows: number,
  V: number,
  C: number,
): void {
  if (V * C === 0) return;
  const sums = new Map<number, Float64Array>(); // by v
  for (let r = 0; r < rows; r++) {
    const sum = sums.get(idx[r]) ?? new Float64Array(C);
    sums.set(idx[r], sum);
    for (let c = 0; c < C; c++) sum[c] += dy[r * C + c];
  }
  dw.fill(0, 0, V * C);
  for (const [v, sum] of sums) dw.set(sum, v * C);
}
