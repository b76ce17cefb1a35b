// Optimizer kernels: one pass over all parameters, in place.

import type { Floats, List } from "../kernels.ts";

/** v = momentum v + dw + weightDecay w; w -= lr v. Does nothing if foundInf is not 0. */
export function sgd(
  w: List<Floats>,
  dw: List<Floats>,
  velocity: List<Floats>,
  lr: Floats,
  foundInf: Floats | null,
  momentum: number,
  weightDecay: number,
): void {
  if (foundInf && foundInf[0] !== 0) return;
  for (let i = 0; i < w.length; i++) {
    const wi = w[i];
    const dwi = dw[i];
    const vi = velocity[i];
    for (let j = 0; j < wi.length; j++) {
      // a factor of 0 skips its term, which is NaN for an infinite velocity or weight
      const kept = momentum === 0 ? 0 : momentum * vi[j];
      vi[j] = kept + dwi[j] + (weightDecay === 0 ? 0 : weightDecay * wi[j]);
      wi[j] -= lr[0] * vi[j];
    }
  }
}

/**
 * g = dw + l2 w; m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; t += 1;
 * w = (1 - lr weightDecay) w - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps).
 * Does nothing if foundInf is not 0.
 */
export function adamw(
  w: List<Floats>,
  dw: List<Floats>,
  m: List<Floats>,
  v: List<Floats>,
  copies: List<Floats>,
  t: List<Floats>,
  lr: Floats,
  foundInf: Floats | null,
  beta1: number,
  beta2: number,
  eps: number,
  weightDecay: number,
  l2: number,
): void {
  if (foundInf && foundInf[0] !== 0) return;
  const decay = 1 - lr[0] * weightDecay;
  for (let i = 0; i < w.length; i++) {
    const wi = w[i];
    const dwi = dw[i];
    const mi = m[i];
    const vi = v[i];
    t[i][0] += 1;
    const stepSize = lr[0] / (1 - beta1 ** t[i][0]);
    const rootCorrection = Math.sqrt(1 - beta2 ** t[i][0]);
    for (let j = 0; j < wi.length; j++) {
      const g = l2 === 0 ? dwi[j] : dwi[j] + l2 * wi[j]; // not NaN for an infinite weight
      mi[j] = beta1 * mi[j] + (1 - beta1) * g;
      vi[j] = beta2 * vi[j] + (1 - beta2) * g * g;
      wi[j] = wi[j] * decay - (stepSize * mi[j]) / (Math.sqrt(vi[j]) / rootCorrection + eps);
    }
    copies[i]?.set(wi);
  }
}

/** y += weight (x - y), computed from the nearer end. Does nothing if foundInf is not 0. */
export function lerp(
  y: List<Floats>,
  x: List<Floats>,
  weight: Floats,
  foundInf: Floats | null,
): void {
  if (foundInf && foundInf[0] !== 0) return;
  const w = weight[0];
  for (let i = 0; i < y.length; i++) {
    const yi = y[i];
    const xi = x[i];
    for (let j = 0; j < yi.length; j++) {
      const change = xi[j] - yi[j];
      yi[j] = w < 0.5 ? yi[j] + w * change : xi[j] - (1 - w) * change;
    }
  }
}

/** total = the sum of the squares of all elements of all buffers */
export function sumSquares(x: List<Floats>, total: Floats): void {
  let sum = 0;
  for (const xi of x) {
    for (let j = 0; j < xi.length; j++) sum += xi[j] * xi[j];
  }
  total[0] = sum;
}

/** x *= min(1, maxNorm / (sqrt(total) + 1e-6)) */
export function clip(x: List<Floats>, total: Floats, maxNorm: number): void {
  const scale = maxNorm / (Math.sqrt(total[0]) + 1e-6);
  if (scale >= 1) return;
  for (const xi of x) {
    for (let j = 0; j < xi.length; j++) xi[j] *= scale;
  }
}

/** foundInf = 1 if x[0] is NaN or infinite */
export function checkFinite(x: Floats, foundInf: Floats): void {
  if (!Number.isFinite(x[0])) foundInf[0] = 1;
}
