// The contract: every kernel is there, and gives in f32 what it gives in f64, to f32's rounding.
// Natively written kernels are held to the same f64 reference.

import * as assert from "uvu/assert";
import type { Buffer, Kernels } from "#src/backend/device.js";
import { reference } from "#src/backend/ts/index.js";
import { normal } from "#src/random.js";
import { assertClose, eachDevice } from "../support/support.js";

/**
 * A buffer of a call: random numbers to read (`F`), integers below a bound (`I`), or room for
 * results.
 */
type Part =
  | { kind: "in" | "positive"; n: number }
  | { kind: "index"; n: number; below: number }
  | { kind: "out"; n: number };
const F = (n: number): Part => ({ kind: "in", n });
const P = (n: number): Part => ({ kind: "positive", n });
const I = (n: number, below: number): Part => ({ kind: "index", n, below });
const out = (n: number): Part => ({ kind: "out", n });
const rngState = Int32Array.of(7, 0, 3, 2);
const n = 37;

type Call = (Part | Part[] | number | boolean | null | Int32Array)[];
const two = [F(n), F(5)];
const unary = [F(n), out(n), n];
const backward = [F(n), F(n), out(n), n];
const pairwise = [F(n), F(n), out(n), n, n, n];
const [B, H, T, D] = [2, 3, 9, 5];
const C = H * D;
const heads = B * H * T * D;
const q = F(heads);
const drop = [1, 0.2];

/** A call of each kernel, in the order of the contract. */
// biome-ignore format: a few kernels a row
const calls: Record<keyof Kernels, Call> = {
  add: pairwise, sub: pairwise, mul: pairwise, div: [F(n), P(1), out(n), n, 1, n],
  where: [I(n, 2), F(n), F(1), out(n), n, n, 1, n],
  neg: unary, exp: unary, sin: unary, cos: unary, abs: unary, absBackward: backward,
  log: [P(n), out(n), n], sqrt: [P(n), out(n), n], pow: [P(n), out(n), n, 2.5],
  tanh: unary, tanhBackward: backward, relu: unary, reluBackward: backward,
  sigmoid: unary, sigmoidBackward: backward, silu: unary, siluBackward: backward,
  gelu: unary, geluBackward: backward, geluTanh: unary, geluTanhBackward: backward,
  accumulate: [F(n), F(n), n],
  matmul: [F(2 * 5 * 7), F(7 * 6), out(2 * 5 * 6), 2, 5, 6, 7, 35, 0, false, false, false],
  sum: [F(2 * n * 3), out(6), 2, n, 3],
  max: [F(2 * n * 3), out(6), I(6, 1), 2, n, 3],
  maxBackward: [F(6), I(6, n), out(2 * n * 3), 2, n, 3],
  linear: [F(5 * 7), F(6 * 7), F(6), out(30), out(30), 5, 6, 7, 2],
  linearBackward: [
    F(5 * 7), F(6 * 7), F(35), F(30), out(35), out(42), out(6), 5, 6, 7, 2,
  ],
  softmax: [F(3 * n), out(3 * n), 3, n],
  softmaxBackward: [P(3 * n), F(3 * n), out(3 * n), 3, n],
  logSoftmax: [F(3 * n), out(3 * n), 3, n],
  logSoftmaxBackward: [F(3 * n), F(3 * n), out(3 * n), 3, n],
  layerNorm: [F(3 * n), F(n), F(n), out(3 * n), out(3), out(3), 3, n, 1e-5, true],
  layerNormBackward: [
    F(3 * n), F(n), F(3), P(3), F(3 * n), out(3 * n), out(n), out(n), 3, n, false,
  ],
  residualLayerNorm: [
    F(3 * n), F(3 * n), F(n), F(n), out(3 * n), out(3 * n), out(3), out(3), rngState, 3, n, 1e-5,
    ...drop, false,
  ],
  residualLayerNormBackward: [
    F(3 * n), F(n), F(3), P(3), F(3 * n), F(3 * n), out(3 * n), out(3 * n), out(n), out(n), rngState,
    3, n, ...drop, true,
  ],
  crossEntropy: [F(3 * n), I(3, n), out(1), out(3), out(1), 3, n, -100],
  crossEntropyBackward: [F(3 * n), I(3, n), P(3), P(1), F(1), out(3 * n), 3, n, -100],
  linearCrossEntropy: [
    F(3 * 7), F(n * 7), F(n), I(3, n), out(1), out(1), F(3 * (n + 7)), 3, n, 7, -100,
  ],
  linearCrossEntropyBackward: [
    F(3 * 7), F(40 * 7), F(3 * 47), F(1), out(3 * 7), out(40 * 7), out(40), 3, 40, 7,
  ],
  copy: [F(n), out(n), n], fill: [out(n), 2.5, n],
  transpose: [F(60), out(60), 2, 3, 5, 2], expand: [F(6), out(24), 2, 4, 3],
  slice: [F(60), out(24), 2, 5, 6, 1, 2], sliceUpdate: [F(24), F(60), 2, 5, 6, 1, 2],
  embedding: [I(9, 4), F(4 * n), out(9 * n), 9, 4, n],
  embeddingBackward: [I(9, 4), F(9 * n), out(4 * n), 9, 4, n],
  linearQuantized: [F(5 * 37), I(6 * 10, 2 ** 30), F(6), F(6), out(30), 5, 6, n, 1, 8, 2],
  embeddingQuantized: [I(9, 4), I(4 * 5, 2 ** 30), F(4 * 2), out(9 * n), 9, 4, n, 2, 4],
  attention: [q, q, q, out(heads), out(B * H * T), rngState, B * H, T, T, D, true, ...drop],
  attentionBackward: [
    q, q, q, q, P(B * H * T), q, out(heads), out(heads), out(heads), rngState, B * H, T, T, D,
    true, ...drop,
  ],
  selfAttention: [F(3 * heads), out(heads), out(B * H * T), rngState, B, T, H, D, true, ...drop],
  selfAttentionBackward: [
    F(3 * heads), q, P(B * H * T), q, out(3 * heads), rngState, B, T, H, D, true, ...drop,
  ],
  cachedAttention: [
    F(3 * heads), F(B * 12 * 2 * C), Int32Array.of(2), out(heads), B, T, H, D, 12,
  ],
  rotary: [
    F(B * T * 3 * H * 6), F(12 * 6), Int32Array.of(2), out(B * T * 3 * H * 6), B, T, 3, H, 3, 12, 2,
    true,
  ],
  sgd: [two, two, two, P(1), 0.9, 0.1],
  adamw: [two, two, two, [P(n), P(5)], [], [P(1), P(1)], P(1), null, 0.9, 0.99, 1e-8, 0.1, 0.01],
  sumSquares: [two, out(1)], clip: [two, P(1), 0.5],
  checkFinite: [F(1), F(1)],
  dropout: [F(n), out(n), rngState, n, 5, 0.3],
  sampleBatch: [I(n, 100), rngState, I(6, 1), I(6, 1), n, 2, 3, 1],
};

/** The arguments, with fresh buffers of a float type. */
function args(call: Call, Floats: typeof Float32Array | typeof Float64Array) {
  const fresh = (part: Call[number], site: number): unknown => {
    if (part === null || typeof part !== "object") return part;
    if (part instanceof Int32Array) return part.slice();
    if (Array.isArray(part)) return part.map((each, i) => fresh(each, site + 100 * (i + 1)));
    if (part.kind === "out") return new Floats(part.n).fill(NaN);
    const values = Float32Array.from(normal(part.n, { site, stream: "sample", seed: 3 }));
    if (part.kind === "index")
      return Int32Array.from(values, (x) => Math.floor(Math.abs(x) * 1e9) % part.below);
    return new Floats(part.kind === "positive" ? values.map((x) => Math.abs(x) + 0.5) : values);
  };
  return call.map(fresh);
}

eachDevice("kernels", (test, on) => {
  test("the device has every kernel of the contract, and no other", () => {
    assert.equal(Object.keys(on.kernels).sort(), Object.keys(calls).sort());
    assert.equal(Object.keys(reference).sort(), Object.keys(calls).sort());
  });

  for (const [name, call] of Object.entries(calls)) {
    test(`${name}: f32 as f64, and the same bits again`, () => {
      type Run = (...list: unknown[]) => void;
      const onDevice = () => {
        const there = (x: unknown): unknown => {
          if (Array.isArray(x)) return x.map(there);
          if (!ArrayBuffer.isView(x)) return x;
          const dtype = x instanceof Int32Array ? "i32" : "f32";
          return on.upload(dtype, x as Float32Array).buffer;
        };
        const list = args(call, Float32Array).map(there);
        (on.kernels[name as keyof Kernels] as Run)(...list);
        const isBuffer = (x: unknown) => typeof x === "object" && x !== null;
        return list.flat().map((x) => (isBuffer(x) ? on.memory.read(x as Buffer) : x));
      };
      const inDoubles = () => {
        const list = args(call, Float64Array);
        (reference[name as keyof Kernels] as Run)(...list);
        return list.flat();
      };
      const [actual, again, expected] = [onDevice(), onDevice(), inDoubles()];
      assert.equal(actual, again);
      actual.forEach((part, i) => {
        const isPadded =
          name.startsWith("linearCrossEntropy") && i === (name === "linearCrossEntropy" ? 6 : 2);
        if (!ArrayBuffer.isView(part) || isPadded) return; // laid out as the floor likes
        assertClose(part as Float32Array, expected[i] as Float64Array, {
          rtol: 1e-5,
          atol: 1e-5,
          what: `argument ${i}`,
        });
        assert.not((part as Float32Array).some(Number.isNaN), `argument ${i} is not all written`);
      });
    });
  }
});
