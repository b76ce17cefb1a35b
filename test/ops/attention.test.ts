import {
  attention,
  cat,
  manualSeed,
  nn,
  ones,
  randn,
  selfAttention,
  type Tensor,
  tensor,
  zeros,
} from "tinybard";
import * as assert from "uvu/assert";
import { noGrad } from "#src/autograd.js";
import { attentionSpec, cachedAttention, selfAttentionSpec } from "#src/ops/attention.js";
import { rotary, rotarySpec } from "#src/ops/rotary.js";
import { assertClose, assertSame, eachDevice, testOp } from "../support/support.js";

const qkvOf = (B: number, H: number, Tq: number, Tk: number, D: number) => [
  [B, H, Tq, D],
  [B, H, Tk, D],
  [B, H, Tk, D],
];
const equal = [
  qkvOf(2, 3, 7, 7, 4),
  qkvOf(1, 1, 1, 1, 1),
  qkvOf(1, 2, 33, 33, 16),
  qkvOf(2, 1, 17, 17, 5),
];
const cross = [qkvOf(2, 3, 7, 10, 4), qkvOf(1, 2, 1, 9, 8), qkvOf(1, 1, 16, 31, 3)];

/** 1 where query i may not see key j. */
function future(Tq: number, Tk: number): Tensor {
  const rows = Array.from({ length: Tq }, (_, i) =>
    Array.from({ length: Tk }, (_, j) => Number(j > i + Tk - Tq)),
  );
  return tensor(rows, { dtype: "i32", device: "ts" });
}

eachDevice("attention", (test, on) => {
  const spec = (q: Tensor, k: Tensor, v: Tensor) => attentionSpec(q, k, v);
  const causalSpec = (q: Tensor, k: Tensor, v: Tensor) =>
    attentionSpec(q, k, v, future(q.shape[2], k.shape[2]));
  testOp(test, on, {
    name: "attention",
    f: (q, k, v) => attention(q, k, v),
    spec,
    shapes: [...equal, ...cross],
    atol: 1e-5,
  });
  testOp(test, on, {
    name: "causal attention",
    f: (q, k, v) => attention(q, k, v, { causal: true }),
    spec: causalSpec,
    shapes: [...equal, ...cross],
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
    shapes: cross,
    atol: 1e-5,
  });

  const tableFor = (x: Tensor, D: number) => nn.rotaryTable(40, D).to(x.device).to(x.dtype);
  testOp(test, on, {
    name: "rotary",
    f: (x) => rotary(x, tableFor(x, 6), { nHead: 2 }),
    spec: (x) => rotarySpec(x, tableFor(x, 6), { nHead: 2 }),
    shapes: [
      [2, 5, 12],
      [1, 1, 12],
      [3, 40, 12],
    ],
  });
  testOp(test, on, {
    name: "rotary of queries, keys and values",
    f: (x) => rotary(x, tableFor(x, 34), { nHead: 1 }),
    spec: (x) => {
      const table = tableFor(x, 34);
      const [q, k, v] = x.split(34, { dim: 2 });
      return cat([rotarySpec(q, table, { nHead: 1 }), rotarySpec(k, table, { nHead: 1 }), v], {
        dim: 2,
      });
    },
    shapes: [[2, 7, 102]],
  });

  test("rotary: by hand, at a place, and what scores depend on", () => {
    const table = nn.rotaryTable(40, 4).to(on);
    const x = tensor([1, 2, 0, 3], { shape: [1, 1, 4], device: on });
    const at = (x: Tensor, place: number) =>
      rotary(x, table, { nHead: 1, length: tensor(place, { dtype: "i32", device: on }) });
    // channels 0 and 2 turn by 1 a place, channels 1 and 3 by 10000^(-2 / 4) = 0.01
    const [c, s] = [Math.cos(0.07), Math.sin(0.07)];
    const turned = [Math.cos(7), 2 * c - 3 * s, Math.sin(7), 2 * s + 3 * c];
    assertClose(at(x, 7), turned, { rtol: 1e-5, atol: 1e-6 });
    const y = randn([1, 1, 4], { device: on });
    const score = (i: number, j: number) => at(x, i).mul(at(y, j)).sum().item();
    for (const shift of [1, 5, 30])
      assertClose([score(3 + shift, 1 + shift)], [score(3, 1)], { rtol: 1e-4, atol: 1e-5 });
    assert.ok(Math.abs(score(3, 1) - score(4, 1)) > 1e-3);
    assert.throws(() => at(x, 40).data(), /rotary: (40 \+ 1 tokens|position\[0\] is 40), expected/);
    assert.throws(
      () => rotary(zeros([1, 2, 6], { device: on }), table, { nHead: 1 }),
      /rotary: x has shape \[1, 2, 6\], expected \[B, T, parts nHead D\] with nHead 1/,
    );
    assert.throws(() => nn.rotaryTable(3, 5), /rotaryTable: size is 5, expected an even number/);
  });

  test("dropout drops what dropout() drops of the probabilities", () => {
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

  test("a query that sees no key gives 0, and no gradient", () => {
    const make = (T: number) => randn([1, 1, T, 2], { device: on, requiresGrad: true });
    const [q, k, v] = [make(3), make(1), make(1)];
    const y = attention(q, k, v, { causal: true });
    assertClose(y.data().slice(0, 4), [0, 0, 0, 0]);
    assertClose(y.data().slice(4), v.data());
    y.backward(ones([1, 1, 3, 2], { device: on }));
    assertClose(v.grad as Tensor, [1, 1]);
    assertClose(q.grad as Tensor, new Float32Array(6));
  });

  test("the probabilities of all heads are never kept", () => {
    const [B, T, C] = [2, 128, 16];
    const qkv = randn([B, T, 3 * C], { device: on, requiresGrad: true });
    on.pool.peakBytes = on.pool.liveBytes;
    const before = on.pool.liveBytes;
    selfAttention(qkv, { nHead: 4, causal: true }).backward(ones([B, T, C], { device: on }));
    assert.ok(
      on.pool.peakBytes - before < 4 * B * 4 * T * T,
      `${on.pool.peakBytes - before} bytes`,
    );
  });

  test("with a cache: token by token, or in pieces, as all at once", () => {
    noGrad(() => {
      const [B, T, C, nHead] = [2, 7, 12, 3];
      const qkv = randn([B, T, 3 * C], { device: on });
      const whole = selfAttention(qkv, { nHead, causal: true });
      for (const pieces of [[1, 1, 1, 1, 1, 1, 1], [3, 4], [7], [5, 1, 1]]) {
        const cache = zeros([B, 9, 2 * C], { device: on });
        let start = 0;
        for (const count of pieces) {
          const length = tensor(start, { dtype: "i32", device: on });
          const part = qkv.slice({ dim: 1, start, end: start + count });
          const y = cachedAttention(part, cache, length, { nHead });
          assertClose(y, whole.slice({ dim: 1, start, end: start + count }), {
            rtol: 1e-5,
            atol: 1e-6,
          });
          start += count;
        }
      }
    });
  });

  test("with a cache: what it has no room for is an error, and changes nothing", () => {
    noGrad(() => {
      const [nHead, C] = [2, 8];
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

  test("wrong arguments are named", () => {
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
    manualSeed(1);
  });
});
