// Normalization of rows, by itself and after a residual addition. Sums are in double precision.

import type { Floats } from "../kernels.ts";
import { dropout } from "./random.ts";

/**
 * y = (x - mean) rstd w + b of each row, rstd = 1 / sqrt(var + eps); mean is 0 unless subtractMean.
 * x, y [rows, n], w, b [n], mean, rstd [rows]
 */
export function layerNorm(
  x: Floats,
  w: Floats,
  b: Floats | null,
  y: Floats,
  mean: Floats,
  rstd: Floats,
  rows: number,
  n: number,
  eps: number,
  subtractMean: boolean,
): void {
  for (let r = 0; r < rows; r++) {
    const row = r * n;
    let m = 0;
    if (subtractMean) {
      for (let i = 0; i < n; i++) m += x[row + i];
      m /= n;
    }
    let variance = 0;
    for (let i = 0; i < n; i++) variance += (x[row + i] - m) ** 2;
    const s = 1 / Math.sqrt(variance / n + eps);
    for (let i = 0; i < n; i++) y[row + i] = (x[row + i] - m) * s * w[i] + (b ? b[i] : 0);
    mean[r] = m;
    rstd[r] = s;
  }
}

/**
 * With xHat = (x - mean) rstd and g = dy w: dx = rstd (g - mean(g) - xHat mean(g xHat)), where
 * mean(g) is 0 unless subtractMean; dw = sum(dy xHat) and db = sum(dy) over the rows.
 */
export function layerNormBackward(
  x: Floats,
  w: Floats,
  mean: Floats,
  rstd: Floats,
  dy: Floats,
  dx: Floats,
  dw: Floats | null,
  db: Floats | null,
  rows: number,
  n: number,
  subtractMean: boolean,
): void {
  if (n === 0) return;
  const sumW = new Float64Array(n);
  const sumB = new Float64Array(n);
  for (let r = 0; r < rows; r++) {
    const row = r * n;
    const m = mean[r];
    const s = rstd[r];
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

/** r = x + dropout(y), z = layerNorm(r). x, y, r, z [rows, n] */
export function residualLayerNorm(
  x: Floats,
  y: Floats,
  w: Floats,
  b: Floats | null,
  r: Floats,
  z: Floats,
  mean: Floats,
  rstd: Floats,
  rngState: Int32Array,
  rows: number,
  n: number,
  eps: number,
  site: number,
  p: number,
  subtractMean: boolean,
): void {
  if (p > 0) {
    dropout(y, r, rngState, rows * n, site, p);
  } else {
    r.set(y.subarray(0, rows * n));
  }
  for (let i = 0; i < rows * n; i++) r[i] += x[i];
  layerNorm(r, w, b, z, mean, rstd, rows, n, eps, subtractMean);
}

/**
 * dx = dr + layerNormBackward(dz), dy = dropout(dx) with the same mask. dr is null if only z was
 * used.
 */
export function residualLayerNormBackward(
  r: Floats,
  w: Floats,
  mean: Floats,
  rstd: Floats,
  dr: Floats | null,
  dz: Floats,
  dx: Floats,
  dy: Floats | null,
  dw: Floats | null,
  db: Floats | null,
  rngState: Int32Array,
  rows: number,
  n: number,
  site: number,
  p: number,
  subtractMean: boolean,
): void {
  layerNormBackward(r, w, mean, rstd, dz, dx, dw, db, rows, n, subtractMean);
  if (dr) {
    for (let i = 0; i < rows * n; i++) dx[i] += dr[i];
  }
  if (dy) dropout(dx, dy, rngState, rows * n, site, p);
}
