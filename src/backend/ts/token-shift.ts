// Token shift: a part of the previous token's row is added to each row.

import type { Floats } from "../kernels.ts";

/**
 * y[b, t] = x[b, t] + w x[b, t - 1]; x[b, -1] is previous[b], or 0. x, y [B, T, C]; w [C];
 * previous [B, C] or null.
 */
export function tokenShift(
  x: Floats,
  w: Floats,
  previous: Floats | null,
  y: Floats,
  B: number,
  T: number,
  C: number,
): void {
  for (let b = 0; b < B; b++) {
    for (let t = 0; t < T; t++) {
      const row = (b * T + t) * C;
      for (let c = 0; c < C; c++) {
        y[row + c] = x[row + c];
        if (t > 0) y[row + c] += w[c] * x[row - C + c];
        else if (previous) y[row + c] += w[c] * previous[b * C + c];
      }
    }
  }
}

/** dx[b, t] = dy[b, t] + w dy[b, t + 1]; dw = the column sums of dy[b, t] x[b, t - 1]. */
export function tokenShiftBackward(
  x: Floats,
  w: Floats,
  previous: Floats | null,
  dy: Floats,
  dx: Floats,
  dw: Floats | null,
  B: number,
  T: number,
  C: number,
): void {
  const sums = new Float64Array(C);
  for (let b = 0; b < B; b++) {
    for (let t = 0; t < T; t++) {
      const row = (b * T + t) * C;
      for (let c = 0; c < C; c++) {
        dx[row + c] = dy[row + c];
        if (t < T - 1) dx[row + c] += w[c] * dy[row + C + c];
        if (t > 0) sums[c] += dy[row + c] * x[row - C + c];
        else if (previous) sums[c] += dy[row + c] * previous[b * C + c];
      }
    }
  }
  dw?.set(sums);
}
