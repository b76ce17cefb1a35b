// Matrix multiplication in register tiles: 4 x 4 results stay in registers while k runs, so that
// eight loads serve sixteen multiply-adds, where the triple loop of matmul.ts needs two for each.

import type { Floats } from "../kernels.ts";
import { roundToBf16, usesBf16 } from "./bf16.ts";

/** The same function as matmulReference(), several times faster: the kernel that devices run. */
export function matmul(
  a: Floats,
  b: Floats,
  c: Floats,
  batch: number,
  M: number,
  N: number,
  K: number,
  aStep: number,
  bStep: number,
  transA: boolean,
  transB: boolean,
  accumulate: boolean,
): void {
  if (batch * M * N === 0) return;
  if (usesBf16(a, M)) {
    a = roundToBf16(a);
    b = roundToBf16(b);
  }
  // strides: the distance in memory between neighbors along m and k in a, along k and n in b
  const am = transA ? 1 : K;
  const ak = transA ? M : 1;
  const bk = transB ? 1 : N;
  const bn = transB ? K : 1;
  if (!accumulate) c.fill(0, 0, batch * M * N);
  const M4 = M - (M % 4); // rows and columns that whole tiles cover
  const N4 = N - (N % 4);
  for (let i = 0; i < batch; i++) {
    const a0 = i * aStep;
    const b0 = i * bStep;
    const c0 = i * M * N;
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

// biome-ignore format: a row of the tile per line
/** c[0..3, 0..3] += sum over k of a[0..3, k] b[k, 0..3], from the offsets ai, bi and ci. */
function tile(
  a: Floats, b: Floats, c: Floats, ai: number, am: number, ak: number, bi: number, bk: number,
  bn: number, ci: number, N: number, K: number,
): void {
  let c00 = 0, c01 = 0, c02 = 0, c03 = 0;
  let c10 = 0, c11 = 0, c12 = 0, c13 = 0;
  let c20 = 0, c21 = 0, c22 = 0, c23 = 0;
  let c30 = 0, c31 = 0, c32 = 0, c33 = 0;
  const am2 = 2 * am;
  const am3 = 3 * am;
  const bn2 = 2 * bn;
  const bn3 = 3 * bn;
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
