// Causal attention with NaN and infinities: they reach the queries that attend to them, and leave
// every other result with the bits that it has without them.

import {
  attention,
  type Device,
  device,
  full,
  randn,
  selfAttention,
  type Tensor,
  tensor,
} from "tinybard";
import * as assert from "uvu/assert";
import { cachedAttention } from "#src/ops/attention.js";
import { replay } from "#src/random.js";
import { eachDevice, isChecked } from "../support/harness.js";

const poisons = [NaN, Infinity, -Infinity];
const sizes = [
  { Tq: 1, Tk: 1, D: 1 },
  { Tq: 2, Tk: 2, D: 8 },
  { Tq: 7, Tk: 7, D: 16 },
  { Tq: 16, Tk: 16, D: 7 },
  { Tq: 17, Tk: 17, D: 64 },
  { Tq: 64, Tk: 64, D: 16 },
  { Tq: 65, Tk: 65, D: 33 },
  { Tq: 130, Tk: 130, D: 8 },
  { Tq: 130, Tk: 130, D: 72 }, // in bf16 on cuda, a block does not own all keys
  { Tq: 5, Tk: 40, D: 8 },
  { Tq: 33, Tk: 70, D: 16 },
  { Tq: 70, Tk: 33, D: 16 }, // the first queries attend to no key
];

type Inputs = "q" | "k" | "v" | "dy";
type Arrays = Record<string, Float32Array>;

interface Problem {
  Tq: number;
  Tk: number;
  D: number;
  dtype: "f32" | "bf16";
  dropout?: number;
}

/** Returns the outputs and gradients of causal attention with two heads. */
function run(on: Device, problem: Problem, inputs: Record<Inputs, Float32Array>): Arrays {
  const { Tq, Tk, D, dtype, dropout = 0 } = problem;
  const make = (values: Float32Array, T: number) =>
    tensor(values, { shape: [1, 2, T, D], dtype, device: on, requiresGrad: true });
  const q = make(inputs.q, Tq);
  const k = make(inputs.k, Tk);
  const v = make(inputs.v, Tk);
  const y = replay(() => attention(q, k, v, { causal: true, dropout })); // the same dropout mask
  y.backward(make(inputs.dy, Tq).detach());
  const read = (x: Tensor | null) => Float32Array.from((x as Tensor).data());
  return { y: read(y), dq: read(q.grad), dk: read(k.grad), dv: read(v.grad) };
}

function randomInputs({ Tq, Tk, D }: Problem): Record<Inputs, Float32Array> {
  const draw = (T: number) =>
    Float32Array.from(randn([2 * T * D], { device: "ts", dtype: "f32" }).data());
  return { q: draw(Tq), k: draw(Tk), v: draw(Tk), dy: draw(Tq) };
}

/** Asserts that rows [2, T, D] of `actual` equal those of `expected` where `isEqual(t)`. */
function assertRows(
  what: string,
  actual: Float32Array,
  expected: Float32Array,
  D: number,
  isEqual: (t: number, head: number) => boolean,
): void {
  const T = expected.length / (2 * D);
  for (let i = 0; i < expected.length; i++) {
    const row = Math.floor(i / D);
    if (!isEqual(row % T, Math.floor(row / T))) continue;
    if (actual[i] === expected[i]) continue;
    assert.unreachable(`${what}[${row % T}, ${i % D}] is ${actual[i]}, expected ${expected[i]}`);
  }
}

/** Positions at the edges of blocks and tiles, and at the ends. */
function positions(T: number): number[] {
  const all = T < 20 ? [0, Math.floor(T / 2), T - 1] : [0, 15, 64, T - 1];
  const distinct = [...new Set(all.filter((t) => t < T))];
  return isChecked ? [distinct[distinct.length >> 1]] : distinct;
}

function testProblem(on: Device, problem: Problem): void {
  const { Tq, Tk, D } = problem;
  const past = Tk - Tq;
  const inputs = randomInputs(problem);
  const clean = run(on, problem, inputs);
  for (const [name, T] of Object.entries({ q: Tq, k: Tk, v: Tk, dy: Tq })) {
    positions(T).forEach((t, i) => {
      const poison = poisons[i % 3];
      const poisoned = { ...inputs, [name]: inputs[name as Inputs].slice() };
      poisoned[name as Inputs][t * D + (t % D)] = poison; // in head 0
      const result = run(on, problem, poisoned);
      const what = `${poison} in ${name}[${t}]: `;
      const isKey = name === "k" || name === "v";
      // queries and keys of head 0 that depend on it
      const dependsQuery = (query: number) => (isKey ? query + past >= t : query === t);
      const dependsKey = (key: number) => isKey || key <= t + past;
      const equalQuery = (query: number, head: number) => head === 1 || !dependsQuery(query);
      const equalKey = (key: number, head: number) => head === 1 || !dependsKey(key);
      const equalY = name === "dy" ? () => true : equalQuery;
      assertRows(`${what}y`, result.y, clean.y, D, equalY);
      assertRows(`${what}dq`, result.dq, clean.dq, D, equalQuery);
      assertRows(`${what}dk`, result.dk, clean.dk, D, equalKey);
      assertRows(`${what}dv`, result.dv, clean.dv, D, equalKey);
      if (problem.dtype === "f32" && on.name !== "ts") {
        const expected = run(device("ts"), problem, poisoned);
        for (const key of ["y", "dq", "dk", "dv"])
          assertSameKinds(what + key, result[key], expected[key]);
      }
    });
  }
}

/** Asserts that the same elements are NaN, infinite with the same sign, and finite. */
function assertSameKinds(what: string, actual: Float32Array, expected: Float32Array): void {
  const kind = (x: number) => (Number.isFinite(x) ? "finite" : String(x));
  for (let i = 0; i < expected.length; i++) {
    const isSame = kind(actual[i]) === kind(expected[i]);
    if (!isSame) assert.unreachable(`${what}: element ${i} is ${actual[i]}, ts: ${expected[i]}`);
  }
}

eachDevice("causality", (test, on) => {
  const dtypes = on.name.startsWith("cuda") ? (["f32", "bf16"] as const) : (["f32"] as const);
  for (const dtype of dtypes) {
    for (const size of sizes) {
      test(`attention ${JSON.stringify(size)} ${dtype}`, () => {
        testProblem(on, { ...size, dtype });
      });
    }
    for (const size of [sizes[4], sizes[6], sizes[11]]) {
      test(`attention with dropout ${JSON.stringify(size)} ${dtype}`, () => {
        testProblem(on, { ...size, dtype, dropout: 0.3 });
      });
    }

    test(`selfAttention ${dtype}`, () => {
      for (const [T, nHead, D] of [
        [7, 2, 5],
        [65, 2, 16],
        [130, 1, 8],
      ]) {
        const width = 3 * nHead * D;
        const forward = (poisonAt: number, poison: number, dyAt: number) => {
          const values = Float32Array.from(base);
          const dy = Float32Array.from(base.subarray(0, T * nHead * D));
          if (poisonAt >= 0) values.fill(poison, poisonAt * width, (poisonAt + 1) * width);
          if (dyAt >= 0) dy.fill(NaN, dyAt * nHead * D, (dyAt + 1) * nHead * D);
          const qkv = tensor(values, {
            shape: [1, T, width],
            dtype,
            device: on,
            requiresGrad: true,
          });
          const y = selfAttention(qkv, { nHead, causal: true });
          y.backward(tensor(dy, { shape: y.shape, dtype, device: on }));
          return { y: y.data(), dqkv: (qkv.grad as Tensor).data() };
        };
        const base = Float32Array.from(randn([T * width], { device: "ts" }).data());
        const clean = forward(-1, 0, -1);
        for (const t of positions(T)) {
          const poisoned = forward(t, poisons[t % 3], -1);
          assert.equal(poisoned.y.slice(0, t * nHead * D), clean.y.slice(0, t * nHead * D));
          for (let i = 0; i < t; i++) {
            const start = i * width; // the gradient of the query
            const end = start + nHead * D;
            assert.equal(poisoned.dqkv.slice(start, end), clean.dqkv.slice(start, end));
          }
          const { dqkv } = forward(-1, 0, t); // reaches its query, and the keys up to t
          assert.equal(dqkv.slice((t + 1) * width), clean.dqkv.slice((t + 1) * width));
          assert.ok(dqkv.slice(0, t * width).some(Number.isNaN) || t === 0);
        }
      }
    });

    test(`cachedAttention ignores what is beyond the cache's length ${dtype}`, () => {
      const D = 8;
      const nHead = 2;
      const C = nHead * D;
      const capacity = 80;
      for (const [past, T] of [
        [0, 1],
        [1, 1],
        [31, 1],
        [63, 1],
        [0, 7],
        [5, 3],
        [60, 17],
      ]) {
        const values = Float32Array.from(randn([(past + T) * 2 * C], { device: "ts" }).data());
        const qkvValues = Float32Array.from(randn([T * 3 * C], { device: "ts" }).data());
        const decode = (beyond: number, newest: number) => {
          const filled = new Float32Array(capacity * 2 * C).fill(beyond);
          filled.set(values.subarray(0, past * 2 * C));
          const cache = tensor(filled, { shape: [1, capacity, 2 * C], dtype, device: on });
          const length = full([], past, { dtype: "i32", device: on });
          const changed = qkvValues.slice();
          changed.fill(newest, (T - 1) * 3 * C + C, T * 3 * C); // its key and value
          const qkv = tensor(changed, { shape: [1, T, 3 * C], dtype, device: on });
          return cachedAttention(qkv, cache, length, { nHead }).data();
        };
        const clean = decode(0, 1);
        for (const poison of poisons) assert.equal(decode(poison, 1), clean);
        const poisoned = decode(0, NaN);
        assert.equal(poisoned.slice(0, (T - 1) * C), clean.slice(0, (T - 1) * C));
        assert.ok(poisoned.slice((T - 1) * C).every(Number.isNaN));
      }
    });
  }
});
