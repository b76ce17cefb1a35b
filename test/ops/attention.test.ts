import { attention, ones, randn, selfAttention, type Tensor, tensor, zeros } from "tinybard";
import * as assert from "uvu/assert";
import { noGrad } from "#src/autograd.js";
import { attentionSpec, cachedAttention, selfAttentionSpec } from "#src/ops/attention.js";
import { assertClose, assertSame, eachDevice, testOp } from "../support/harness.js";

/** Shapes of q, k and v. */
const qkvShapes = (B: number, H: number, Tq: number, Tk: number, D: number) => [
  [B, H, Tq, D],
  [B, H, Tk, D],
  [B, H, Tk, D],
];
const selfShapes = [
  qkvShapes(2, 3, 7, 7, 4),
  qkvShapes(1, 1, 1, 1, 1),
  qkvShapes(1, 2, 33, 33, 16),
  qkvShapes(2, 1, 17, 17, 5),
];
const crossShapes = [
  qkvShapes(2, 3, 7, 10, 4),
  qkvShapes(1, 2, 1, 9, 8),
  qkvShapes(1, 1, 16, 31, 3),
];

/** Returns the mask of causal attention: 1 where query i must not attend to key j. */
function createCausalMask(Tq: number, Tk: number): Tensor {
  const rows = Array.from({ length: Tq }, (_, i) =>
    Array.from({ length: Tk }, (_, j) => Number(j > i + Tk - Tq)),
  );
  return tensor(rows, { dtype: "i32", device: "ts" });
}

eachDevice("attention", (test, on) => {
  const spec = (q: Tensor, k: Tensor, v: Tensor) => attentionSpec(q, k, v);
  const causalSpec = (q: Tensor, k: Tensor, v: Tensor) =>
    attentionSpec(q, k, v, createCausalMask(q.shape[2], k.shape[2]));
  testOp(test, on, {
    name: "attention",
    f: (q, k, v) => attention(q, k, v),
    spec,
    shapes: [...selfShapes, ...crossShapes],
    atol: 1e-5,
  });
  testOp(test, on, {
    name: "causal attention",
    f: (q, k, v) => attention(q, k, v, { causal: true }),
    spec: causalSpec,
    shapes: [...selfShapes, ...crossShapes],
    atol: 1e-5,
  });
  for (const causal of [false, true]) {
    const options = { nHead: 3, causal };
    testOp(test, on, {
      name: `selfAttention, causal ${causal}`,
      f: (x) => selfAttention(x, options),
      atol: 1e-5,
      spec: (x) => selfAttentionSpec(x, options),
      shapes: [
        [2, 5, 36],
        [1, 1, 9],
        [2, 33, 72],
      ],
    });
  }
  testOp(test, on, {
    name: "selfAttention with dropout",
    f: (x) => selfAttention(x, { nHead: 2, causal: true, dropout: 0.3 }),
    shapes: [[2, 9, 24]],
    atol: 1e-5,
  });
  testOp(test, on, {
    name: "attention with dropout",
    f: (q, k, v) => attention(q, k, v, { dropout: 0.5 }),
    shapes: crossShapes,
    atol: 1e-5,
  });

  test("dropout equals dropout() of the probabilities", () => {
    const inputs = [
      [2, 3, 8, 4],
      [2, 3, 16, 4],
      [2, 3, 16, 4],
    ].map((shape) => randn(shape, { dtype: "f64", device: "ts" }));
    const dy = randn([2, 3, 8, 4], { dtype: "f64", device: "ts" });
    const f = (q: Tensor, k: Tensor, v: Tensor) => attention(q, k, v, { dropout: 0.25 });
    assertSame(
      "dropout in attention",
      f,
      (q, k, v) => attentionSpec(q, k, v, null, 0.25),
      inputs,
      dy,
    );
  });

  test("a query without visible keys returns 0 and gets no gradient", () => {
    const create = (T: number) => randn([1, 1, T, 2], { device: on, requiresGrad: true });
    const q = create(3);
    const k = create(1);
    const v = create(1);
    const y = attention(q, k, v, { causal: true });
    assertClose(y.data().slice(0, 4), [0, 0, 0, 0]);
    assertClose(y.data().slice(4), v.data());
    y.backward(ones([1, 1, 3, 2], { device: on }));
    assertClose(v.grad as Tensor, [1, 1]);
    assertClose(q.grad as Tensor, new Float32Array(6));
  });

  test("the attention probabilities of all heads are never stored", () => {
    const B = 2;
    const T = 128;
    const C = 16;
    const qkv = randn([B, T, 3 * C], { device: on, requiresGrad: true });
    on.pool.peakBytes = on.pool.liveBytes;
    const before = on.pool.liveBytes;
    selfAttention(qkv, { nHead: 4, causal: true }).backward(ones([B, T, C], { device: on }));
    assert.ok(
      on.pool.peakBytes - before < 4 * B * 4 * T * T,
      `${on.pool.peakBytes - before} bytes`,
    );
  });

  test("with a cache: token by token, or in chunks, equals all at once", () => {
    noGrad(() => {
      const B = 2;
      const T = 7;
      const C = 12;
      const nHead = 3;
      const qkv = randn([B, T, 3 * C], { device: on });
      const expected = selfAttention(qkv, { nHead, causal: true });
      for (const chunks of [[1, 1, 1, 1, 1, 1, 1], [3, 4], [7], [5, 1, 1]]) {
        const cache = zeros([B, 9, 2 * C], { device: on });
        let start = 0;
        for (const count of chunks) {
          const length = tensor(start, { dtype: "i32", device: on });
          const range = { dim: 1, start, end: start + count };
          const y = cachedAttention(qkv.slice(range), cache, length, { nHead });
          assertClose(y, expected.slice(range), {
            rtol: 1e-5,
            atol: 1e-6,
          });
          start += count;
        }
      }
    });
  });

  test("with a cache: exceeding its capacity is an error and changes nothing", () => {
    noGrad(() => {
      const nHead = 2;
      const C = 8;
      const cache = ones([1, 4, 2 * C], { device: on });
      const attend = (past: number, T: number) => {
        const length = tensor(past, { dtype: "i32", device: on });
        return cachedAttention(randn([1, T, 3 * C], { device: on }), cache, length, {
          nHead,
        }).data();
      };
      for (const [past, T] of [
        [4, 1],
        [2, 3],
        [-1, 1],
      ])
        assert.throws(
          () => attend(past, T),
          /cachedAttention: (-?\d \+ \d tokens|position\[\d\] is -?\d), exp/,
        );
      assert.equal([...new Set(cache.data())], [1]);
      assert.ok(attend(3, 1).every(Number.isFinite));
    });
  });

  test("invalid arguments are errors", () => {
    const x = zeros([1, 2, 3, 4], { device: on });
    assert.throws(
      () => attention(x, zeros([1, 2, 3, 5], { device: on }), x),
      /attention: k has shape/,
    );
    assert.throws(
      () => attention(zeros([2, 3], { device: on }), x, x),
      /attention: q has shape \[2, 3\], expected \[B, H, T, D\]/,
    );
    assert.throws(
      () => selfAttention(zeros([1, 2, 10], { device: on }), { nHead: 2 }),
      /selfAttention: qkv has shape/,
    );
    assert.throws(
      () => attention(x, x, x, { dropout: 1.5 }),
      /attention: p is 1.5, expected 0 to 1/,
    );
  });
});
