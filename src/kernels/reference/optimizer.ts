// Optimizer kernels: one pass over a parameter, in place.

import type { Floats } from "../contract.ts";

export function sgd(
  w: Floats, dw: Floats, velocity: Floats, lr: Floats, n: number, momentum: number,
  weightDecay: number,
): void {
  for (let i = 0; i < n; i++) {
    velocity[i] = momentum * velocity[i] + dw[i] + weightDecay * w[i];
    w[i] -= lr[0] * velocity[i];
  }
}

export function adamw(
  w: Floats, dw: Floats, m: Floats, v: Floats, lr: Floats, t: Floats, n: number,
  beta1: number, beta2: number, eps: number, weightDecay: number, l2: number,
): void {
  t[0] += 1;
  const stepSize = lr[0] / (1 - beta1 ** t[0]);
  const rootCorrection = Math.sqrt(1 - beta2 ** t[0]);
  const kept = 1 - lr[0] * weightDecay;
  for (let i = 0; i < n; i++) {
    const g = dw[i] + l2 * w[i];
    m[i] = beta1 * m[i] + (1 - beta1) * g;
    v[i] = beta2 * v[i] + (1 - beta2) * g * g;
    w[i] = w[i] * kept - (stepSize * m[i]) / (Math.sqrt(v[i]) / rootCorrection + eps);
  }
}

export function sumSquares(x: Floats, total: Floats, n: number): void {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += x[i] * x[i];
  total[0] += sum;
}

export function clip(x: Floats, total: Floats, n: number, maxNorm: number): void {
  const scale = maxNorm / (Math.sqrt(total[0]) + 1e-6);
  if (scale >= 1) return;
  for (let i = 0; i < n; i++) x[i] *= scale;
}
