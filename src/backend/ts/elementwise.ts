// Elementwise kernels: element i of the output comes from element i of the inputs. Each is a loop
// of its own, since a loop that calls back per element cannot be inlined and runs many times
// slower.

import type { Floats } from "../kernels.ts";

export function add(a: Floats, b: Floats, y: Floats, na: number, nb: number, n: number): void {
  for (let i = 0, j = 0, k = 0; i < n; i++) {
    y[i] = a[j] + b[k];
    if (++j === na) j = 0;
    if (++k === nb) k = 0;
  }
}

export function sub(a: Floats, b: Floats, y: Floats, na: number, nb: number, n: number): void {
  for (let i = 0, j = 0, k = 0; i < n; i++) {
    y[i] = a[j] - b[k];
    if (++j === na) j = 0;
    if (++k === nb) k = 0;
  }
}

export function mul(a: Floats, b: Floats, y: Floats, na: number, nb: number, n: number): void {
  for (let i = 0, j = 0, k = 0; i < n; i++) {
    y[i] = a[j] * b[k];
    if (++j === na) j = 0;
    if (++k === nb) k = 0;
  }
}

export function div(a: Floats, b: Floats, y: Floats, na: number, nb: number, n: number): void {
  for (let i = 0, j = 0, k = 0; i < n; i++) {
    y[i] = a[j] / b[k];
    if (++j === na) j = 0;
    if (++k === nb) k = 0;
  }
}

export function where(
  cond: Int32Array,
  a: Floats,
  b: Floats,
  y: Floats,
  nc: number,
  na: number,
  nb: number,
  n: number,
): void {
  for (let i = 0; i < n; i++) y[i] = cond[i % nc] !== 0 ? a[i % na] : b[i % nb];
}

export function accumulate(x: Floats, y: Floats, n: number): void {
  for (let i = 0; i < n; i++) y[i] += x[i];
}

/** y = x^exponent, as in IEEE 754: 1^NaN, NaN^0 and (-1)^Infinity are 1. */
export function pow(x: Floats, y: Floats, n: number, exponent: number): void {
  const isInfinite = Math.abs(exponent) === Infinity;
  for (let i = 0; i < n; i++) {
    const isOne = x[i] === 1 || (x[i] === -1 && isInfinite); // JavaScript's power would be NaN
    y[i] = isOne ? 1 : x[i] ** exponent;
  }
}

export function neg(x: Floats, y: Floats, n: number): void {
  for (let i = 0; i < n; i++) y[i] = -x[i];
}

export function exp(x: Floats, y: Floats, n: number): void {
  for (let i = 0; i < n; i++) y[i] = Math.exp(x[i]);
}

export function log(x: Floats, y: Floats, n: number): void {
  for (let i = 0; i < n; i++) y[i] = Math.log(x[i]);
}

export function sqrt(x: Floats, y: Floats, n: number): void {
  for (let i = 0; i < n; i++) y[i] = Math.sqrt(x[i]);
}

export function sin(x: Floats, y: Floats, n: number): void {
  for (let i = 0; i < n; i++) y[i] = Math.sin(x[i]);
}

export function cos(x: Floats, y: Floats, n: number): void {
  for (let i = 0; i < n; i++) y[i] = Math.cos(x[i]);
}

export function abs(x: Floats, y: Floats, n: number): void {
  for (let i = 0; i < n; i++) y[i] = Math.abs(x[i]);
}

export function absBackward(x: Floats, dy: Floats, dx: Floats, n: number): void {
  for (let i = 0; i < n; i++) dx[i] = dy[i] * (Math.sign(x[i]) || 0); // 0 for NaN
}

export function tanh(x: Floats, y: Floats, n: number): void {
  for (let i = 0; i < n; i++) y[i] = Math.tanh(x[i]);
}

export function tanhBackward(y: Floats, dy: Floats, dx: Floats, n: number): void {
  for (let i = 0; i < n; i++) dx[i] = dy[i] * (1 - y[i] * y[i]);
}

export function relu(x: Floats, y: Floats, n: number): void {
  for (let i = 0; i < n; i++) y[i] = x[i] < 0 ? 0 : x[i]; // NaN stays NaN
}

export function reluBackward(y: Floats, dy: Floats, dx: Floats, n: number): void {
  for (let i = 0; i < n; i++) dx[i] = y[i] <= 0 ? 0 : dy[i];
}

export function relu2(x: Floats, y: Floats, n: number): void {
  for (let i = 0; i < n; i++) y[i] = x[i] < 0 ? 0 : x[i] * x[i]; // NaN stays NaN
}

export function relu2Backward(y: Floats, dy: Floats, dx: Floats, n: number): void {
  for (let i = 0; i < n; i++) dx[i] = y[i] <= 0 ? 0 : 2 * Math.sqrt(y[i]) * dy[i];
}

export function sigmoid(x: Floats, y: Floats, n: number): void {
  for (let i = 0; i < n; i++) y[i] = 1 / (1 + Math.exp(-x[i]));
}

export function sigmoidBackward(y: Floats, dy: Floats, dx: Floats, n: number): void {
  for (let i = 0; i < n; i++) dx[i] = dy[i] * y[i] * (1 - y[i]);
}

export function silu(x: Floats, y: Floats, n: number): void {
  for (let i = 0; i < n; i++) y[i] = x[i] / (1 + Math.exp(-x[i]));
}

export function siluBackward(x: Floats, dy: Floats, dx: Floats, n: number): void {
  for (let i = 0; i < n; i++) {
    const s = 1 / (1 + Math.exp(-x[i]));
    dx[i] = dy[i] * s * (1 + x[i] * (1 - s));
  }
}

export function gelu(x: Floats, y: Floats, n: number): void {
  for (let i = 0; i < n; i++) y[i] = x[i] * normalCdf(x[i]);
}

export function geluBackward(x: Floats, dy: Floats, dx: Floats, n: number): void {
  for (let i = 0; i < n; i++) {
    const density = Math.exp(-0.5 * x[i] * x[i]) / Math.sqrt(2 * Math.PI);
    dx[i] = dy[i] * (normalCdf(x[i]) + x[i] * density);
  }
}

const ROOT_2_OVER_PI = Math.sqrt(2 / Math.PI);

export function geluTanh(x: Floats, y: Floats, n: number): void {
  for (let i = 0; i < n; i++) {
    const xi = x[i];
    const u = ROOT_2_OVER_PI * (xi + 0.044715 * xi * xi * xi); // xi ** 3 takes far longer
    y[i] = 0.5 * xi * (1 + Math.tanh(u));
  }
}

export function geluTanhBackward(x: Floats, dy: Floats, dx: Floats, n: number): void {
  for (let i = 0; i < n; i++) {
    const xi = x[i];
    const t = Math.tanh(ROOT_2_OVER_PI * (xi + 0.044715 * xi * xi * xi));
    const du = ROOT_2_OVER_PI * (1 + 3 * 0.044715 * xi * xi);
    dx[i] = dy[i] * 0.5 * (1 + t + xi * (1 - t * t) * du);
  }
}

/**
 * Phi(x) = erfc(-x / sqrt 2) / 2, the distribution function of the standard normal distribution.
 */
function normalCdf(x: number): number {
  const tail = 0.5 * erfc(Math.abs(x) * Math.SQRT1_2);
  return x > 0 ? 1 - tail : tail;
}

/**
 * erfc(x) = 1 - erf(x) for x >= 0, to a relative 1e-13: the Maclaurin series of erf below 2,
 * Lentz's continued fraction above (Abramowitz and Stegun 7.1.6 and 7.1.14). NaN gives NaN.
 */
function erfc(x: number): number {
  if (x > 27) return 0; // below the smallest double
  if (x < 2) {
    let term = x;
    let sum = x;
    for (let n = 1; Math.abs(term) > 1e-17 * sum; n++) {
      term *= (2 * x * x) / (2 * n + 1);
      sum += term;
    }
    return 1 - (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
  }
  let fraction = x;
  for (let n = 60; n > 0; n--) fraction = x + n / 2 / fraction;
  return Math.exp(-x * x) / (Math.sqrt(Math.PI) * fraction);
}
