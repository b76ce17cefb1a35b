// Softmax and its logarithm, row by row, in double precision. First the maximum of a row is
// subtracted, then log(sum(e^(x - max))), which the sum of both would lose if the maximum is large.

import type { Floats } from "../kernels.ts";

/** y = e^x / sum(e^x) of each row. x, y [rows, n] */
export function softmax(x: Floats, y: Floats, rows: number, n: number): void {
  if (rows * n === 0) return;
  for (let r = 0; r < rows; r++) {
    const max = rowMax(x, r * n, n);
    const logSum = rowLogSumExp(x, r * n, n, max);
    for (let i = r * n; i < (r + 1) * n; i++) y[i] = Math.exp(x[i] - max - logSum);
  }
}

/** dx = y (dy - sum(dy y)) */
export function softmaxBackward(y: Floats, dy: Floats, dx: Floats, rows: number, n: number): void {
  if (rows * n === 0) return;
  for (let r = 0; r < rows; r++) {
    let dot = 0;
    for (let i = r * n; i < (r + 1) * n; i++) dot += dy[i] * y[i];
    for (let i = r * n; i < (r + 1) * n; i++) dx[i] = y[i] * (dy[i] - dot);
  }
}

/** y = x - log(sum(e^x)) of each row. x, y [rows, n] */
export function logSoftmax(x: Floats, y: Floats, rows: number, n: number): void {
  if (rows * n === 0) return;
  for (let r = 0; r < rows; r++) {
    const max = rowMax(x, r * n, n);
    const logSum = rowLogSumExp(x, r * n, n, max);
    for (let i = r * n; i < (r + 1) * n; i++) y[i] = x[i] - max - logSum;
  }
}

/** dx = dy - e^y sum(dy) */
export function logSoftmaxBackward(
  y: Floats,
  dy: Floats,
  dx: Floats,
  rows: number,
  n: number,
): void {
  if (rows * n === 0) return;
  for (let r = 0; r < rows; r++) {
    let total = 0;
    for (let i = r * n; i < (r + 1) * n; i++) total += dy[i];
    for (let i = r * n; i < (r + 1) * n; i++) dx[i] = dy[i] - Math.exp(y[i]) * total;
  }
}

/**
 * Returns the maximum of n elements from `start`, which is subtracted before e^x so that it cannot
 * overflow; 0 if all are -Infinity or NaN.
 */
export function rowMax(x: Floats, start: number, n: number): number {
  let largest = -Infinity;
  for (let i = start; i < start + n; i++) {
    if (x[i] > largest) largest = x[i];
  }
  return largest === -Infinity ? 0 : largest;
}

/** Returns log(sum(e^(x - max))) of n elements from `start`. */
export function rowLogSumExp(x: Floats, start: number, n: number, max: number): number {
  let total = 0;
  for (let i = start; i < start + n; i++) total += Math.exp(x[i] - max);
  return Math.log(total);
}
