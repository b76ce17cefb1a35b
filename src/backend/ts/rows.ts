// Row kernels: every output needs a whole row. Sums run in double precision, whatever the buffers
// hold.

import type { Floats } from "../kernels.ts";
import { linear, linearBackward } from "./matmul.ts";
import { dropout } from "./random.ts";

export function sum(x: Floats, y: Floats, outer: number, n: number, inner: number): void {
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      let total = 0;
      for (let j = 0, at = o * n * inner + i; j < n; j++, at += inner) total += x[at];
      y[o * inner + i] = total;
    }
  }
}

export function max(
  x: Floats, y: Floats, index: Int32Array, outer: number, n: number, inner: number,
): void {
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

export function maxBackward(
  dy: Floats, index: Int32Array, dx: Floats, outer: number, n: number, inner: number,
): void {
  dx.fill(0, 0, outer * n * inner);
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      const at = o * inner + i;
      dx[(o * n + index[at]) * inner + i] = dy[at];
    }
  }
}

export function softmax(x: Floats, y: Floats, rows: number, n: number): void {
  for (let r = 0; r < rows; r++) {
    const largest = largestOf(x, r * n, n);
    const shift = largest + logSum(x, r * n, n, largest);
    for (let i = r * n; i < (r + 1) * n; i++) y[i] = Math.exp(x[i] - shift);
  }
}

export function softmaxBackward(y: Floats, dy: Floats, dx: Floats, rows: number, n: number): void {
  for (let r = 0; r < rows; r++) {
    let dot = 0;
    for (let i = r * n; i < (r + 1) * n; i++) dot += dy[i] * y[i];
    for (let i = r * n; i < (r + 1) * n; i++) dx[i] = y[i] * (dy[i] - dot);
  }
}

export function logSoftmax(x: Floats, y: Floats, rows: number, n: number): void {
  for (let r = 0; r < rows; r++) {
    const largest = largestOf(x, r * n, n);
    const shift = largest + logSum(x, r * n, n, largest);
    for (let i = r * n; i < (r + 1) * n; i++) y[i] = x[i] - shift;
  }
}

export function logSoftmaxBackward(
  y: Floats, dy: Floats, dx: Floats, rows: number, n: number,
): void {
  for (let r = 0; r < rows; r++) {
    let total = 0;
    for (let i = r * n; i < (r + 1) * n; i++) total += dy[i];
    for (let i = r * n; i < (r + 1) * n; i++) dx[i] = dy[i] - Math.exp(y[i]) * total;
  }
}

export function layerNorm(
  x: Floats, w: Floats, b: Floats | null, y: Floats, mean: Floats, rstd: Floats,
  rows: number, n: number, eps: number, subtractMean: boolean,
): void {
  for (let r = 0; r < rows; r++) {
    const row = r * n;
    let m = 0;
    if (subtractMean) for (let i = 0; i < n; i++) m += x[row + i];
    m /= n;
    let variance = 0;
    for (let i = 0; i < n; i++) variance += (x[row + i] - m) ** 2;
    const s = 1 / Math.sqrt(variance / n + eps);
    for (let i = 0; i < n; i++) y[row + i] = (x[row + i] - m) * s * w[i] + (b ? b[i] : 0);
    mean[r] = m;
    rstd[r] = s;
  }
}

export function layerNormBackward(
  x: Floats, w: Floats, mean: Floats, rstd: Floats, dy: Floats, dx: Floats,
  dw: Floats | null, db: Floats | null, rows: number, n: number, subtractMean: boolean,
): void {
  const [sumW, sumB] = [new Float64Array(n), new Float64Array(n)];
  for (let r = 0; r < rows; r++) {
    const row = r * n;
    const m = mean[r];
    const s = rstd[r];
    // with xHat = (x - m) s and g = dy w:  dx = s (g - mean(g) - xHat mean(g xHat)), where mean(g)
    // is what flows back through m, if there is one
    let meanG = 0;
    let meanGX = 0;
    for (let i = 0; i < n; i++) {
      const g = dy[row + i] * w[i];
      if (subtractMean) meanG += g;
      meanGX += g * (x[row + i] - m) * s;
    }
    meanG /= n;
    meanGX /= n;
    for (let i = 0; i < n; i++) {
      const xHat = (x[row + i] - m) * s;
      dx[row + i] = s * (dy[row + i] * w[i] - meanG - xHat * meanGX);
      if (dw) sumW[i] += dy[row + i] * xHat;
      if (db) sumB[i] += dy[row + i];
    }
  }
  dw?.set(sumW);
  db?.set(sumB);
}

export function residualLayerNorm(
  x: Floats, y: Floats, w: Floats, b: Floats | null, r: Floats, z: Floats, mean: Floats,
  rstd: Floats, rngState: Int32Array, rows: number, n: number, eps: number, site: number, p: number,
  subtractMean: boolean,
): void {
  if (p > 0) dropout(y, r, rngState, rows * n, site, p);
  else r.set(y.subarray(0, rows * n));
  for (let i = 0; i < rows * n; i++) r[i] += x[i];
  layerNorm(r, w, b, z, mean, rstd, rows, n, eps, subtractMean);
}

export function residualLayerNormBackward(
  r: Floats, w: Floats, mean: Floats, rstd: Floats, dr: Floats | null, dz: Floats, dx: Floats,
  dy: Floats | null, dw: Floats | null, db: Floats | null, rngState: Int32Array, rows: number,
  n: number, site: number, p: number, subtractMean: boolean,
): void {
  layerNormBackward(r, w, mean, rstd, dz, dx, dw, db, rows, n, subtractMean);
  if (dr) for (let i = 0; i < rows * n; i++) dx[i] += dr[i];
  if (dy) dropout(dx, dy, rngState, rows * n, site, p);
}

export function crossEntropy(
  x: Floats, target: Int32Array, loss: Floats, lse: Floats, count: Floats,
  rows: number, n: number, ignoreIndex: number,
): void {
  let total = 0;
  let counted = 0;
  for (let r = 0; r < rows; r++) {
    const largest = largestOf(x, r * n, n);
    const logTotal = logSum(x, r * n, n, largest);
    lse[r] = logTotal;
    const t = target[r];
    if (t === ignoreIndex) continue;
    if (!(t >= 0 && t < n)) {
      throw new RangeError(`crossEntropy: target[${r}] is ${t}, expected 0 to ${n - 1}`);
    }
    total += logTotal + (largest - x[r * n + t]);
    counted++;
  }
  loss[0] = total / counted;
  count[0] = counted;
}

export function crossEntropyBackward(
  x: Floats, target: Int32Array, lse: Floats, count: Floats, dy: Floats, dx: Floats,
  rows: number, n: number, ignoreIndex: number,
): void {
  const scale = dy[0] / count[0];
  for (let r = 0; r < rows; r++) {
    const row = r * n;
    if (target[r] === ignoreIndex) {
      dx.fill(0, row, row + n);
      continue;
    }
    const largest = largestOf(x, row, n);
    for (let i = 0; i < n; i++) dx[row + i] = Math.exp(x[row + i] - largest - lse[r]) * scale;
    dx[row + target[r]] -= scale;
  }
}

export function linearCrossEntropy(
  x: Floats, w: Floats, b: Floats | null, target: Int32Array, loss: Floats, count: Floats,
  logits: Floats, rows: number, n: number, K: number, ignoreIndex: number,
): void {
  linear(x, w, b, null, logits, rows, n, K, 0);
  const [lse, dy] = [new Float64Array(rows), Float64Array.of(1)];
  crossEntropy(logits, target, loss, lse, count, rows, n, ignoreIndex);
  crossEntropyBackward(logits, target, lse, count, dy, logits, rows, n, ignoreIndex);
}

export function linearCrossEntropyBackward(
  x: Floats, w: Floats, logits: Floats, dy: Floats, dx: Floats | null, dw: Floats | null,
  db: Floats | null, rows: number, n: number, K: number,
): void {
  for (let i = 0; i < rows * n; i++) logits[i] *= dy[0];
  linearBackward(x, w, null, logits, dx, dw, db, rows, n, K, 0);
}

/** The largest of n elements from `start`: subtracted before e^x, so that none overflows. */
function largestOf(x: Floats, start: number, n: number): number {
  let largest = -Infinity;
  for (let i = start; i < start + n; i++) if (x[i] > largest) largest = x[i];
  return largest === -Infinity ? 0 : largest; // nothing to subtract where all are -Infinity or NaN
}

/** log(sum(e^(x - largest))) of n elements from `start`. */
function logSum(x: Floats, start: number, n: number, largest: number): number {
  let total = 0;
  for (let i = start; i < start + n; i++) total += Math.exp(x[i] - largest);
  return Math.log(total);
}
