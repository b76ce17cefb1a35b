// Ops whose results depend on one row of x each: a row of NaN or infinities, in x or in the gradient
// of the result, leaves the other rows with the bits that they have without it. Kernels read rows in
// tiles and packs that go beyond the end of a row.

import {
  crossEntropy,
  GPT,
  layerNorm,
  linear,
  logSoftmax,
  manualSeed,
  matmul,
  mlp,
  nn,
  noGrad,
  randn,
  reshape,
  rmsNorm,
  rotary,
  softmax,
  type Tensor,
  tensor,
} from "tinybard";
import * as assert from "uvu/assert";
import { residualLayerNorm } from "#src/ops/normalization.js";
import { linearQuantized, quantizeMatrix } from "#src/ops/quantized.js";
import { eachDevice } from "../support/harness.js";

type F = (x: Tensor, draw: (shape: number[], dtype?: "f32") => Tensor) => Tensor;

const ops: Record<string, F> = {
  linear: (x, draw) => linear(x, draw([7, x.shape[1]]), draw([7])),
  "linear with relu": (x, draw) =>
    linear(x, draw([33, x.shape[1]]), draw([33]), { activation: "relu" }),
  mlp: (x, draw) => mlp(x, draw([20, x.shape[1]]), draw([20]), draw([9, 20]), draw([9])),
  matmul: (x, draw) => matmul(x, draw([x.shape[1], 5])),
  softmax: (x) => softmax(x),
  logSoftmax: (x) => logSoftmax(x),
  layerNorm: (x, draw) => layerNorm(x, draw([x.shape[1]], "f32"), draw([x.shape[1]], "f32")),
  rmsNorm: (x, draw) => rmsNorm(x, draw([x.shape[1]], "f32")),
  residualLayerNorm: (x, draw) =>
    residualLayerNorm(x, draw(x.shape as number[]), draw([x.shape[1]], "f32"))[1],
};
const shapes = [
  [2, 1],
  [3, 5],
  [17, 8],
  [5, 33],
  [18, 31],
  [9, 130],
];

/** Asserts that two results are equal in all rows but row r. */
function assertOtherRows(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  r: number,
  rows: number,
): void {
  const width = expected.length / rows;
  for (let i = 0; i < expected.length; i++) {
    if (Math.floor(i / width) === r || actual[i] === expected[i]) continue;
    const at = `[${Math.floor(i / width)}, ${i % width}]`;
    assert.unreachable(`row ${r} changes element ${at} from ${expected[i]} to ${actual[i]}`);
  }
}

eachDevice("rows", (test, on) => {
  const dtypes = on.name.startsWith("cuda") ? (["f32", "bf16"] as const) : (["f32"] as const);
  for (const dtype of dtypes) {
    /** Calls f with the same other inputs each time; returns y and dx. */
    const run = (f: F, shape: number[], values: Float32Array, poisonDy: number) => {
      manualSeed(3);
      const x = tensor(values, { shape, dtype, device: on, requiresGrad: true });
      const y = f(x, (size, type = dtype as "f32") => randn(size, { dtype: type, device: on }));
      const dy = Float32Array.from(randn([y.size], { device: "ts" }).data());
      const width = y.size / shape[0];
      if (poisonDy >= 0) dy.fill(NaN, poisonDy * width, (poisonDy + 1) * width);
      y.backward(tensor(dy, { shape: y.shape, dtype: y.dtype, device: on }));
      return { y: y.data(), dx: (x.grad as Tensor).data() };
    };
    for (const [name, f] of Object.entries(ops)) {
      test(`${name} ${dtype}`, () => {
        for (const shape of shapes) {
          const [rows, n] = shape;
          const values = Float32Array.from(randn([rows * n], { device: "ts" }).data());
          const clean = run(f, shape, values, -1);
          for (const r of new Set([0, Math.floor(rows / 2), rows - 1])) {
            const poison = r % 2 === 0 ? NaN : Infinity;
            const result = run(f, shape, values.slice().fill(poison, r * n, (r + 1) * n), -1);
            assertOtherRows(result.y, clean.y, r, rows);
            assertOtherRows(result.dx, clean.dx, r, rows);
            assertOtherRows(run(f, shape, values, r).dx, clean.dx, r, rows);
          }
        }
      });
    }

    test(`rotary ${dtype}`, () => {
      const table = nn.rotaryTable(9, 6);
      const f: F = (x) =>
        reshape(rotary(reshape(x, [1, 9, 12]), table.to(on), { nHead: 2 }), [9, 12]);
      const values = Float32Array.from(randn([9 * 12], { device: "ts" }).data());
      const clean = run(f, [9, 12], values, -1);
      for (const r of [0, 4, 8]) {
        const result = run(f, [9, 12], values.slice().fill(NaN, r * 12, (r + 1) * 12), -1);
        assertOtherRows(result.y, clean.y, r, 9);
      }
    });

    test(`linearQuantized ${dtype}`, () => {
      for (const [M, N, K] of [
        [3, 5, 7],
        [2, 9, 33],
        [17, 8, 64],
        [5, 3, 70],
      ]) {
        for (const bits of [8, 4] as const) {
          const q = quantizeMatrix(randn([N, K], { device: on }), { bits });
          const values = Float32Array.from(randn([M * K], { device: "ts" }).data());
          const compute = (x: Float32Array) =>
            linearQuantized(tensor(x, { shape: [M, K], dtype, device: on }), q).data();
          const clean = compute(values);
          for (const r of [0, 1, M - 1]) {
            const poisoned = compute(values.slice().fill(NaN, r * K, (r + 1) * K));
            assertOtherRows(poisoned, clean, r, M);
            assert.ok(Array.from(poisoned.slice(r * N, (r + 1) * N)).every(Number.isNaN));
          }
        }
      }
    });

    test(`crossEntropy ignores NaN in an ignored row ${dtype}`, () => {
      for (const n of [1, 5, 33, 130]) {
        const values = Float32Array.from(randn([4 * n], { device: "ts" }).data());
        const target = tensor([0, -100, n - 1, 0], { dtype: "i32", device: on });
        const compute = (data: Float32Array) => {
          const x = tensor(data, { shape: [4, n], dtype, device: on, requiresGrad: true });
          const loss = crossEntropy(x, target);
          loss.backward();
          return [...loss.data(), ...(x.grad as Tensor).data()];
        };
        const poisoned = compute(values.slice().fill(NaN, n, 2 * n));
        assert.equal(poisoned, compute(values));
        assert.ok(poisoned.every(Number.isFinite));
      }
    });
  }

  test("the logits of a GPT do not depend on later tokens, not even on NaN", () => {
    const options = { vocabSize: 20, blockSize: 40, nLayer: 2, nHead: 2, nEmbd: 20 };
    const T = options.blockSize;
    for (const positions of ["learned", "rotary"] as const) {
      const model = new GPT({ ...options, positions, tieWeights: false }).to(on);
      const weights = model.stateDict();
      const values = Float32Array.from(weights["wte.weight"].data());
      values.fill(NaN, 19 * 20); // of token 19
      weights["wte.weight"] = tensor(values, { shape: [20, 20] });
      model.loadStateDict(weights);
      const compute = (poisoned: number) => {
        const ids = Array.from({ length: T }, (_, t) => (t === poisoned ? 19 : t % 19));
        const idx = tensor([ids], { dtype: "i32", device: on });
        return noGrad(() => model.forward(idx).logits as Tensor).data();
      };
      const clean = compute(-1);
      for (const t of [0, 1, 17, T - 1]) {
        const logits = compute(t);
        assert.equal(logits.slice(0, t * 20), clean.slice(0, t * 20));
        assert.ok(Array.from(logits.slice(t * 20)).every(Number.isNaN));
      }
    }
  });
});
