// Compares the tiled matmul of the TypeScript backend with the triple loop, at the shapes of
// lecture-0.2m. f32 only: if a process also uses Float64Arrays, V8 compiles the kernels for both
// types, and they are slower.

import { Bench } from "tinybench";
import { matmul } from "#src/backend/ts/tiled-matmul.js";

/** Computes c = a b by its definition, as the baseline. */
function tripleLoop(
  a: Float32Array,
  b: Float32Array,
  c: Float32Array,
  M: number,
  N: number,
  K: number,
): void {
  for (let m = 0; m < M; m++) {
    for (let n = 0; n < N; n++) {
      let sum = 0;
      for (let k = 0; k < K; k++) sum += a[m * K + k] * b[k * N + n];
      c[m * N + n] = sum;
    }
  }
}

const shapes = [
  [512, 64, 256],
  [512, 64, 192],
  [512, 256, 64],
  [512, 64, 64],
];

console.log("M x K x N       triple loop          tiles   ratio");
for (const [M, K, N] of shapes) {
  const random = (n: number) => Float32Array.from({ length: n }, () => Math.random() - 0.5);
  const a = random(M * K);
  const b = random(K * N);
  const c = random(M * N);
  const bench = new Bench({ time: 1000, warmupTime: 300 });
  bench.add("triple loop", () => tripleLoop(a, b, c, M, N, K));
  bench.add("tiles", () => matmul(a, b, c, 1, M, N, K, 0, 0, false, false, false));
  await bench.run();
  const [loop, tiles] = bench.tasks.map(({ result }) =>
    result.state === "completed" ? result.latency.p50 : Number.NaN,
  );
  const rate = (ms: number) => `${((2 * M * N * K) / ms / 1e6).toFixed(2)} GFLOP/s`;
  const size = `${M} x ${K} x ${N}`.padEnd(14);
  console.log(`${size}  ${rate(loop)}   ${rate(tiles)}   ${(loop / tiles).toFixed(2)}x`);
}
