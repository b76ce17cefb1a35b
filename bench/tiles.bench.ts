// The matrix product at the shapes of lecture-0.2m, beside the plain triple loop. f32 only: in a
// process that has seen doubles too, V8 compiles the kernels for both, and they run slower.

import { Bench } from "tinybench";
import { matmul } from "#src/backend/ts/tiled-matmul.js";

/** c = a b as it is defined: what the tiles are measured against. */
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
  const [a, b, c] = [random(M * K), random(K * N), random(M * N)];
  const bench = new Bench({ time: 1000, warmupTime: 300 });
  bench.add("triple loop", () => tripleLoop(a, b, c, M, N, K));
  bench.add("tiles", () => matmul(a, b, c, 1, M, N, K, 0, 0, false, false, false));
  await bench.run();
  const [plain, tiles] = bench.tasks.map(({ result }) =>
    result.state === "completed" ? result.latency.p50 : Number.NaN,
  );
  const rate = (ms: number) => `${((2 * M * N * K) / ms / 1e6).toFixed(2)} GFLOP/s`;
  const size = `${M} x ${K} x ${N}`.padEnd(14);
  console.log(`${size}  ${rate(plain)}   ${rate(tiles)}   ${(plain / tiles).toFixed(2)}x`);
}
