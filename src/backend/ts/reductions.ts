// Reductions over one axis. Sums are computed in double precision, whatever the buffers hold.

import type { Floats } from "../kernels.ts";

/** y = the sum of x over n. x [outer, n, inner], y [outer, inner] */
export function sum(x: Floats, y: Floats, outer: number, n: number, inner: number): void {
  if (outer * inner === 0) return;
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      let total = 0;
      for (let j = 0, at = o * n * inner + i; j < n; j++, at += inner) total += x[at];
      y[o * inner + i] = total;
    }
  }
}

/** y = the maximum of x over n, index its position, the first of equals. y, index [outer, inner] */
export function max(
  x: Floats,
  y: Floats,
  index: Int32Array,
  outer: number,
  n: number,
  inner: number,
): void {
  if (outer * inner === 0) return;
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      let best = 0;
      let largest = x[o * n * inner + i];
      for (let j = 1; j < n && !Number.isNaN(largest); j++) {
        const value = x[(o * n + j) * inner + i];
        if (!(value <= largest)) {
          largest = value;
          best = j;
        }
      }
      y[o * inner + i] = largest;
      index[o * inner + i] = best;
    }
  }
}

/** dx = dy at the index of the maximum, 0 elsewhere. dx [outer, n, inner] */
export function maxBackward(
  dy: Floats,
  index: Int32Array,
  dx: Floats,
  outer: number,
  n: number,
  inner: number,
): void {
  if (outer * n * inner === 0) return;
  dx.fill(0, 0, outer * n * inner);
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      const at = o * inner + i;
      dx[(o * n + index[at]) * inner + i] = dy[at];
    }
  }
}
