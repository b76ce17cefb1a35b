// Linear layers: matmul with a weight, bias and activation.

import type { Floats } from "../kernels.ts";
import { activations, derivatives } from "./activations.ts";
import { matmul } from "./tiled-matmul.ts";

/**
 * y = f(h), h = x w^T + b. x [M, K], w [N, K], b [N], h, y [M, N]; h is stored if it is not null
 */
export function linear(
  x: Floats,
  w: Floats,
  b: Floats | null,
  h: Floats | null,
  y: Floats,
  M: number,
  N: number,
  K: number,
  activation: number,
): void {
  if (M * N === 0) return;
  if (b) {
    for (let m = 0; m < M; m++) y.set(b.length === N ? b : b.subarray(0, N), m * N);
  }
  matmul(x, w, y, 1, M, N, K, 0, 0, false, true, b !== null);
  h?.set(y.subarray(0, M * N));
  activations[activation]?.(y, y, M * N);
}

/**
 * dx = dy w, dw = dy^T x, db = the sum of dy over its rows; each is computed if it is not null. If
 * h is not null, x = f(h), and dx is the gradient of h: (dy w) f'(h).
 */
export function linearBackward(
  x: Floats,
  w: Floats,
  h: Floats | null,
  dy: Floats,
  dx: Floats | null,
  dw: Floats | null,
  db: Floats | null,
  M: number,
  N: number,
  K: number,
  activation: number,
): void {
  if (dx) matmul(dy, w, dx, 1, M, K, N, 0, 0, false, false, false);
  if (dx && h) derivatives[activation]?.(h, dx, dx, M * K);
  if (dw) matmul(dy, x, dw, 1, N, K, M, 0, 0, true, false, false);
  if (!db || N === 0) return;
  const sums = new Float64Array(N);
  for (let m = 0; m < M; m++) {
    for (let n = 0; n < N; n++) sums[n] += dy[m * N + n];
  }
  db.set(sums);
}
