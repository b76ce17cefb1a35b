// The kernel interface: every device has every kernel, and its f32 results equal the f64 results of
// the reference kernel within the rounding error of f32.

import * as assert from "uvu/assert";
import type { Buffer, Kernels } from "#src/backend/device.js";
import { reference } from "#src/backend/ts/index.js";
import { normal } from "#src/random.js";
import { assertClose, eachDevice } from "../support/harness.js";

/** A buffer of a call: random floats, positive floats, integers below a bound, or an output. */
type BufferSpec =
  | { kind: "in" | "positive"; n: number }
  | { kind: "index"; n: number; below: number }
  | { kind: "out"; n: number };
// F: random floats, P: positive floats, I: integers below a bound
const F = (n: number): BufferSpec => ({ kind: "in", n });
const P = (n: number): BufferSpec => ({ kind: "positive", n });
const I = (n: number, below: number): BufferSpec => ({ kind: "index", n, below });
const out = (n: number): BufferSpec => ({ kind: "out", n });
const rngState = Int32Array.of(7, 0, 3, 2);
const n = 37;

type Call = (BufferSpec | BufferSpec[] | number | boolean | null | Int32Array)[];
const twoBuffers = [F(n), F(5)];
const unary = [F(n), out(n), n];
const backward = [F(n), F(n), out(n), n];
const pairwise = [F(n), F(n), out(n), n, n, n];
const B = 2;
const H = 3;
const T = 9;
const D = 5;
const C = H * D;
const size = B * H * T * D;
const q = F(size);
const dropout = [1, 0.2]; // site and probability

/** A call of each kernel, in the order of the interface. */
// biome-ignore format: a few kernels a row
const calls: Record<keyof Kernels, Call> = {
  add: pairwise, sub: pairwise, mul: pairwise, div: [F(n), P(1), out(n), n, 1, n],
  where: [I(n, 2), F(n), F(1), out(n), n, n, 1, n],
  neg: unary, exp: unary, sin: unary, cos: unary, abs: unary, absBackward: backward,
  log: [P(n), out(n), n], sqrt: [P(n), out(n), n], pow: [P(n), out(n), n, 2.5],
  tanh: unary, tanhBackward: backward, relu: unary, reluBackward: backward,
  relu2: unary, relu2Backward: backward,
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
    ...dropout, false,
  ],
  residualLayerNormBackward: [
    F(3 * n), F(n), F(3), P(3), F(3 * n), F(3 * n), out(3 * n), out(3 * n), out(n), out(n),
    rngState, 3, n, ...dropout, true,
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
  attention: [q, q, q, out(size), out(B * H * T), rngState, B * H, T, T, D, true, ...dropout],
  attentionBackward: [
    q, q, q, q, P(B * H * T), q, out(size), out(size), out(size), rngState, B * H, T, T, D,
    true, ...dropout,
  ],
  selfAttention: [F(3 * size), out(size), out(B * H * T), rngState, B, T, H, D, true, ...dropout],
  selfAttentionBackward: [
    F(3 * size), q, P(B * H * T), q, out(3 * size), rngState, B, T, H, D, true, ...dropout,
  ],
  cachedAttention: [
    F(3 * size), F(B * 12 * 2 * C), Int32Array.of(2), out(size), B, T, H, D, 12,
  ],
  rotary: [
    F(B * T * 3 * H * 6), F(12 * 6), Int32Array.of(2), out(B * T * 3 * H * 6), B, T, 3, H, 3, 12, 2,
    true,
  ],
  qkNorm: [F(3 * size), F(12 * D), Int32Array.of(2), out(3 * size), B, T, 3, H, D, 12, 2, 1e-5],
  qkNormBackward: [
    F(3 * size), F(12 * D), Int32Array.of(2), F(3 * size), out(3 * size), B, T, 3, H, D, 12, 2,
    1e-5,
  ],
  tokenShift: [q, F(C), F(B * C), out(size), B, T, C],
  tokenShiftBackward: [q, F(C), F(B * C), q, out(size), out(C), B, T, C],
  sgd: [twoBuffers, twoBuffers, twoBuffers, P(1), null, 0.9, 0.1],
  lerp: [twoBuffers, twoBuffers, F(1), null],
  adamw: [
    twoBuffers, twoBuffers, twoBuffers, [P(n), P(5)], [], [P(1), P(1)], P(1), null,
    0.9, 0.99, 1e-8, 0.1, 0.01,
  ],
  sumSquares: [twoBuffers, out(1)], clip: [twoBuffers, P(1), 0.5],
  checkFinite: [F(1), F(1)], allReduce: [twoBuffers],
  dropout: [F(n), out(n), rngState, n, 5, 0.3],
  sampleBatch: [I(n, 100), rngState, I(6, 1), I(6, 1), n, 2, 3, 1],
};

/** Creates the arguments of a call, with new buffers of a float type. */
function createArguments(call: Call, Floats: typeof Float32Array | typeof Float64Array) {
  const create = (arg: Call[number], site: number): unknown => {
    if (arg === null || typeof arg !== "object") return arg;
    if (arg instanceof Int32Array) return arg.slice();
    if (Array.isArray(arg)) return arg.map((spec, i) => create(spec, site + 100 * (i + 1)));
    if (arg.kind === "out") return new Floats(arg.n).fill(NaN);
    const values = Float32Array.from(normal(arg.n, { site, stream: "sample", seed: 3 }));
    if (arg.kind === "index")
      return Int32Array.from(values, (x) => Math.floor(Math.abs(x) * 1e9) % arg.below);
    return new Floats(arg.kind === "positive" ? values.map((x) => Math.abs(x) + 0.5) : values);
  };
  return call.map(create);
}

eachDevice("kernels", (test, on) => {
  test("the device has every kernel of the interface and no other", () => {
    assert.equal(Object.keys(on.kernels).sort(), Object.keys(calls).sort());
    assert.equal(Object.keys(reference).sort(), Object.keys(calls).sort());
  });

  for (const [name, call] of Object.entries(calls)) {
    test(`${name}: f32 equals f64, and a second call returns the same bits`, () => {
      type Run = (...args: unknown[]) => void;
      const runOnDevice = () => {
        const upload = (x: unknown): unknown => {
          if (Array.isArray(x)) return x.map(upload);
          if (!ArrayBuffer.isView(x)) return x;
          const dtype = x instanceof Int32Array ? "i32" : "f32";
          return on.upload(dtype, x as Float32Array).buffer;
        };
        const args = createArguments(call, Float32Array).map(upload);
        (on.kernels[name as keyof Kernels] as Run)(...args);
        const isBuffer = (x: unknown) => typeof x === "object" && x !== null;
        return args.flat().map((x) => (isBuffer(x) ? on.memory.read(x as Buffer) : x));
      };
      const runInDoubles = () => {
        const args = createArguments(call, Float64Array);
        (reference[name as keyof Kernels] as Run)(...args);
        return args.flat();
      };
      const actual = runOnDevice();
      const again = runOnDevice();
      const expected = runInDoubles();
      assert.equal(actual, again);
      const logits = { linearCrossEntropy: 6, linearCrossEntropyBackward: 2 }[name];
      actual.forEach((arg, i) => {
        if (!ArrayBuffer.isView(arg) || i === logits) return; // their layout depends on the backend
        assertClose(arg as Float32Array, expected[i] as Float64Array, {
          rtol: 1e-5,
          atol: 1e-5,
          what: `argument ${i}`,
        });
        assert.not((arg as Float32Array).some(Number.isNaN), `argument ${i} is not fully written`);
      });
    });
  }
});
