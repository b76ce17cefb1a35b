// Matrix multiplication as its definition: three nested loops. Tests compare the faster kernels,
// the register-tiled one in tiled-matmul.ts among them, with this one.

import type { Floats } from "../kernels.ts";

/**
 * For each i of a batch: c_i = op(a_i) op(b_i), or += if `accumulate`. a_i [M, K], stored [K, M] if
 * transA; b_i [K, N], stored [N, K] if transB; c_i [M, N]. aStep and bStep are the distances
 * between matrices of the batch; 0 shares one matrix.
 */
export function matmulReference(
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
  for (let i = 0; i < batch; i++) {
    for (let m = 0; m < M; m++) {
      for (let n = 0; n < N; n++) {
        let sum = 0;
        for (let k = 0; k < K; k++) {
          const aOffset = transA ? k * M + m : m * K + k;
          const bOffset = transB ? n * K + k : k * N + n;
          sum += a[i * aStep + aOffset] * b[i * bStep + bOffset];
        }
        const cOffset = (i * M + m) * N + n;
        c[cOffset] = accumulate ? c[cOffset] + sum : sum;
      }
    }
  }
}
