// Matrix multiplication in register tiles: 4 x 4 results stay in registers while k runs, so that
// eight loads serve sixteen multiply-adds (the plain triple loop needs two loads for each).

import type { Floats } from "../kernels.ts";
import {
  gelu, geluBackward, geluTanh, geluTanhBackward, relu, reluBackward,
} from "./elementwise.ts";

const activations = [null, relu, gelu, geluTanh]; // by the contract's numbers
const slopes = [null, reluBackward, geluBackward, geluTanhBackward];

export function matmul(
  a: Floats, b: Floats, c: Floats, batch: number, M: number, N: number, K: number,
  aStep: number, bStep: number, transA: boolean, transB: boolean, accumulate: boolean,
): void {
  // how far apart in memory lie neighbours along m and k in a, along k and n in b
  const [am, ak] = transA ? [1, M] : [K, 1];
  const [bk, bn] = transB ? [1, K] : [N, 1];
  if (!accumulate) c.fill(0, 0, batch * M * N);
  const [M4, N4] = [M - (M % 4), N - (N % 4)];
  for (let i = 0; i < batch; i++) {
    const [a0, b0, c0] = [i * aStep, i * bStep, i * M * N];
    for (let n = 0; n < N4; n += 4) {
      for (let m = 0; m < M4; m += 4) {
        tile(a, b, c, a0 + m * am, am, ak, b0 + n * bn, bk, bn, c0 + m * N + n, N, K);
      }
    }
    for (let m = 0; m < M; m++) {
      for (let n = m < M4 ? N4 : 0; n < N; n++) {
        let sum = 0;
        for (let k = 0; k < K; k++) sum += a[a0 + m * am + k * ak] * b[b0 + k * bk + n * bn];
        c[c0 + m * N + n] += sum;
      }
    }
  }
}

export function linear(
  x: Floats, w: Floats, b: Floats | null, h: Floats | null, y: Floats, M: number, N: number,
  K: number, activation: number,
): void {
  if (b) for (let m = 0; m < M; m++) y.set(b.length === N ? b : b.subarray(0, N), m * N);
  matmul(x, w, y, 1, M, N, K, 0, 0, false, true, b !== null);
  h?.set(y.subarray(0, M * N));
  activations[activation]?.(y, y, M * N);
}

export function linearBackward(
  x: Floats, w: Floats, h: Floats | null, dy: Floats, dx: Floats | null, dw: Floats | null,
  db: Floats | null, M: number, N: number, K: number, activation: number,
): void {
  if (dx) matmul(dy, w, dx, 1, M, K, N, 0, 0, false, false, false);
  if (dx && h) slopes[activation]?.(h, dx, dx, M * K);
  if (dw) matmul(dy, x, dw, 1, N, K, M, 0, 0, true, false, false);
  if (!db) return;
  const sums = new Float64Array(N);
  for (let m = 0; m < M; m++) for (let n = 0; n < N; n++) sums[n] += dy[m * N + n];
  db.set(sums);
}

/** c[0..3, 0..3] += sum over k of a[0..3, k] b[k, 0..3], at the places where the tile begins. */
function tile(
  a: Floats, b: Floats, c: Floats, ai: number, am: number, ak: number, bi: number, bk: number,
  bn: number, ci: number, N: number, K: number,
): void {
  let c00 = 0, c01 = 0, c02 = 0, c03 = 0;
  let c10 = 0, c11 = 0, c12 = 0, c13 = 0;
  let c20 = 0, c21 = 0, c22 = 0, c23 = 0;
  let c30 = 0, c31 = 0, c32 = 0, c33 = 0;
  const [am2, am3, bn2, bn3] = [2 * am, 3 * am, 2 * bn, 3 * bn];
  for (let k = 0; k < K; k++) {
    const a0 = a[ai], a1 = a[ai + am], a2 = a[ai + am2], a3 = a[ai + am3];
    const b0 = b[bi], b1 = b[bi + bn], b2 = b[bi + bn2], b3 = b[bi + bn3];
    c00 += a0 * b0; c01 += a0 * b1; c02 += a0 * b2; c03 += a0 * b3;
    c10 += a1 * b0; c11 += a1 * b1; c12 += a1 * b2; c13 += a1 * b3;
    c20 += a2 * b0; c21 += a2 * b1; c22 += a2 * b2; c23 += a2 * b3;
    c30 += a3 * b0; c31 += a3 * b1; c32 += a3 * b2; c33 += a3 * b3;
    ai += ak;
    bi += bk;
  }
  c[ci] += c00; c[ci + 1] += c01; c[ci + 2] += c02; c[ci + 3] += c03;
  ci += N;
  c[ci] += c10; c[ci + 1] += c11; c[ci + 2] += c12; c[ci + 3] += c13;
  ci += N;
  c[ci] += c20; c[ci + 1] += c21; c[ci + 2] += c22; c[ci + 3] += c23;
  ci += N;
  c[ci] += c30; c[ci + 1] += c31; c[ci + 2] += c32; c[ci + 3] += c33;
}
