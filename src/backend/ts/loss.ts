// Cross-entropy, by itself and after a linear layer.

import type { Floats } from "../kernels.ts";
import { linear, linearBackward } from "./linear.ts";
import { rowLogSumExp, rowMax } from "./softmax.ts";

/**
 * loss = the mean of lse - x[target] over the rows whose target is not ignoreIndex; count is their
 * number. lse[r] = log(sum(e^(x - max x))) of row r. x [rows, n], target, lse [rows]
 */
export function crossEntropy(
  x: Floats,
  target: Int32Array,
  loss: Floats,
  lse: Floats,
  count: Floats,
  rows: number,
  n: number,
  ignoreIndex: number,
): void {
  let total = 0;
  let counted = 0;
  for (let r = 0; r < rows; r++) {
    const max = rowMax(x, r * n, n);
    const logSumExp = rowLogSumExp(x, r * n, n, max);
    lse[r] = logSumExp;
    const t = target[r];
    if (t === ignoreIndex) continue;
    if (!(t >= 0 && t < n)) {
      throw new RangeError(`crossEntropy: target[${r}] is ${t}, expected 0 to ${n - 1}`);
    }
    total += logSumExp + (max - x[r * n + t]);
    counted++;
  }
  loss[0] = total / counted;
  count[0] = counted;
}

/** dx = (softmax(x) - oneHot(target)) dy / count, 0 in ignored rows. dx [rows, n] */
export function crossEntropyBackward(
  x: Floats,
  target: Int32Array,
  lse: Floats,
  count: Floats,
  dy: Floats,
  dx: Floats,
  rows: number,
  n: number,
  ignoreIndex: number,
): void {
  if (rows * n === 0) return;
  const scale = dy[0] / count[0];
  for (let r = 0; r < rows; r++) {
    const row = r * n;
    if (target[r] === ignoreIndex) {
      dx.fill(0, row, row + n);
      continue;
    }
    const max = rowMax(x, row, n);
    for (let i = 0; i < n; i++) dx[row + i] = Math.exp(x[row + i] - max - lse[r]) * scale;
    dx[row + target[r]] -= scale;
  }
}

/**
 * crossEntropy(linear(x, w, b), target); logits is overwritten by its gradient. x [rows, K],
 * w [n, K], b [n], logits [rows, n]
 */
export function linearCrossEntropy(
  x: Floats,
  w: Floats,
  b: Floats | null,
  target: Int32Array,
  loss: Floats,
  count: Floats,
  logits: Floats,
  rows: number,
  n: number,
  K: number,
  ignoreIndex: number,
): void {
  linear(x, w, b, null, logits, rows, n, K, 0);
  const lse = new Float64Array(rows);
  const dy = Float64Array.of(1);
  crossEntropy(logits, target, loss, lse, count, rows, n, ignoreIndex);
  crossEntropyBackward(logits, target, lse, count, dy, logits, rows, n, ignoreIndex);
}

/** The gradients of x, w and b from that of the logits, which is multiplied by dy. */
export function linearCrossEntropyBackward(
  x: Floats,
  w: Floats,
  logits: Floats,
  dy: Floats,
  dx: Floats | null,
  dw: Floats | null,
  db: Floats | null,
  rows: number,
  n: number,
  K: number,
): void {
  for (let i = 0; i < rows * n; i++) logits[i] *= dy[0];
  linearBackward(x, w, null, logits, dx, dw, db, rows, n, K, 0);
}
