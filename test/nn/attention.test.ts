// Compares the attention layers and the transformer blocks with composites of small ops.

import { add, cat, checkGradient, linear, nn, ones, randn, type Tensor, tensor } from "tinybard";
import * as assert from "uvu/assert";
import { noGrad } from "#src/autograd.js";
import { attentionSpec } from "#src/ops/attention.js";
import { rotarySpec } from "#src/ops/rotary.js";
import { assertClose, eachDevice } from "../support/harness.js";

const sizes = { nEmbd: 12, nHead: 3 };
const tolerance = { rtol: 1e-4, atol: 1e-5 };

/** Computes softmax(q k^T / sqrt D) v for 3 heads of 4 channels, then the output projection. */
function computeAttention(
  layer: nn.MultiHeadAttention,
  q: Tensor,
  k: Tensor,
  v: Tensor,
  causal = false,
) {
  const [B, T] = q.shape;
  const splitHeads = (x: Tensor) => x.reshape([B, -1, 3, 4]).permute([0, 2, 1, 3]); // (B, 3, T, 4)
  const rows = Array.from({ length: T }, (_, i) => Array.from({ length: T }, (_, j) => +(j > i)));
  const mask = causal ? tensor(rows, { dtype: "i32", device: q.device }) : null;
  const y = attentionSpec(splitHeads(q), splitHeads(k), splitHeads(v), mask);
  return layer.c_proj.forward(y.permute([0, 2, 1, 3]).reshape([B, T, 12]));
}

eachDevice("nn: attention", (test, on) => {
  for (const causal of [false, true])
    test(`MultiHeadAttention: self-attention, causal ${causal}`, () => {
      const layer = new nn.MultiHeadAttention({ ...sizes, causal }).to(on);
      const x = randn([2, 7, 12], { device: on });
      const [q, k, v] = layer.c_attn.forward(x).split(12, { dim: 2 });
      assertClose(layer.forward(x), computeAttention(layer, q, k, v, causal), tolerance);
    });

  test("MultiHeadAttention with rotary positions", () => {
    const table = nn.rotaryTable(9, 4);
    const layer = new nn.MultiHeadAttention({ ...sizes, causal: true, rotary: table }).to(on);
    assert.is(table.device, on, "a module moves its table with it");
    const x = randn([2, 7, 12], { device: on });
    const [q, k, v] = layer.c_attn.forward(x).split(12, { dim: 2 });
    const rotate = (x: Tensor) => rotarySpec(x, table, { nHead: 3 });
    assertClose(
      layer.forward(x),
      computeAttention(layer, rotate(q), rotate(k), v, true),
      tolerance,
    );
    assert.equal(Object.keys(layer.stateDict()).length, 4);
  });

  const grouped = { nEmbd: 10, nHead: 6, nKvHead: 2, headDim: 4, causal: true };

  test("MultiHeadAttention with grouped queries: heads of a group share keys and values", () => {
    for (const qkNorm of ["none", "plain", "weighted"]) {
      const layer = new nn.MultiHeadAttention({
        ...grouped,
        qkNorm: qkNorm !== "none",
        qkNormWeight: qkNorm === "weighted",
        normEps: 0.01,
        rotary: nn.rotaryTable(9, 4),
      }).to(on);
      assert.equal(layer.c_attn.weight.shape, [(6 + 2 * 2) * 4, 10]);
      assert.equal(layer.c_proj.weight.shape, [10, 24]);
      for (const norm of [layer.q_norm, layer.k_norm])
        norm?.weight.assign(tensor([1.5, -0.5, 2, 1], { device: on }));
      const x = randn([2, 7, 10], { device: on });
      const qkv = layer.c_attn.forward(x).reshape([2, 7, 10, 4]);
      const head = (i: number) => qkv.slice({ dim: 2, start: i, end: i + 1 }).reshape([2, 7, 4]);
      const prepare = (y: Tensor, norm: nn.RMSNorm | null) => {
        const w = norm?.weight ?? ones([4], { device: on });
        const normalized = qkNorm === "none" ? y : y.rmsNorm(w, { eps: 0.01 });
        return rotarySpec(normalized, layer.rotary as Tensor, { nHead: 1 }).reshape([2, 1, 7, 4]);
      };
      const rows = Array.from({ length: 7 }, (_, i) =>
        Array.from({ length: 7 }, (_, j) => +(j > i)),
      );
      const mask = tensor(rows, { dtype: "i32", device: on });
      const heads = Array.from({ length: 6 }, (_, h) => {
        const kv = Math.floor(h / 3);
        const q = prepare(head(h), layer.q_norm);
        const k = prepare(head(6 + kv), layer.k_norm);
        return attentionSpec(q, k, head(8 + kv).reshape([2, 1, 7, 4]), mask).reshape([2, 7, 4]);
      });
      const expected = layer.c_proj.forward(cat(heads, { dim: 2 }));
      assertClose(layer.forward(x), expected, tolerance);
    }
  });

  test("MultiHeadAttention with grouped queries: gradients, and a cache of nKvHead heads", () => {
    const rotary = nn.rotaryTable(9, 4);
    const options = { ...grouped, rotary, qkNorm: true, qkNormWeight: true };
    const layer = new nn.MultiHeadAttention(options).to(on);
    const x = randn([1, 7, 10], { device: on });
    const length = tensor(0, { dtype: "i32", device: on });
    const past = {
      kv: tensor(new Float32Array(9 * 16), { shape: [1, 9, 16], device: on }),
      length,
    };
    const expected = layer.forward(x);
    noGrad(() => {
      for (const [start, end] of [
        [0, 3],
        [3, 4],
        [4, 7],
      ]) {
        const y = layer.extend(x.slice({ dim: 1, start, end }), past);
        assertClose(y, expected.slice({ dim: 1, start, end }), tolerance);
        length.fill(end);
      }
    });
    const names = [...layer.namedParameters()].map(([name]) => name);
    assert.equal(names.slice(-2), ["q_norm.weight", "k_norm.weight"]);
    if (on.name !== "ts") return; // f64 exists there only
    const table = tensor(rotary.data(), { shape: [9, 4], dtype: "f64" });
    const forward = (x: Tensor, attn: Tensor, proj: Tensor, q: Tensor, k: Tensor) => {
      const f64 = new nn.MultiHeadAttention({ ...options, bias: false, rotary: table });
      for (const [holder, weight] of [
        [f64.c_attn, attn],
        [f64.c_proj, proj],
        [f64.q_norm, q],
        [f64.k_norm, k],
      ])
        Object.assign(holder as object, { weight });
      return f64.forward(x);
    };
    const inputs = [[2, 5, 10], [40, 10], [10, 24], [4], [4]].map((shape) => randn(shape));
    assert.ok(checkGradient(forward, inputs).ok);
  });

  test("MultiHeadAttention with QK-norm: the length of queries and keys has no effect", () => {
    for (const rotary of [null, nn.rotaryTable(9, 4)]) {
      const layer = new nn.MultiHeadAttention({
        ...sizes,
        causal: true,
        rotary,
        qkNorm: true,
        bias: false,
      }).to(on);
      const x = randn([2, 7, 12], { device: on });
      const [q, k, v] = layer.c_attn.forward(x).split(12, { dim: 2 });
      const normalize = (y: Tensor) => {
        const heads = y.reshape([2, 7, 3, 4]).rmsNorm(ones([4], { device: on }));
        const flat = heads.reshape([2, 7, 12]);
        return layer.rotary ? rotarySpec(flat, layer.rotary, { nHead: 3 }) : flat;
      };
      const y = layer.forward(x);
      assertClose(y, computeAttention(layer, normalize(q), normalize(k), v, true), tolerance);
      const scales = tensor([...Array(24).fill(50), ...Array(12).fill(1)], { device: on });
      const w = layer.c_attn.weight;
      w.assign(w.detach().mul(scales.reshape([36, 1])));
      assertClose(layer.forward(x), y, { rtol: 1e-2, atol: 1e-3 }); // eps matters a little
    }
  });

  test("MultiHeadAttention: cross-attention", () => {
    const layer = new nn.MultiHeadAttention({ ...sizes, cross: true }).to(on);
    const x = randn([2, 5, 12], { device: on });
    const context = randn([2, 8, 12], { device: on });
    const q = (layer.q_attn as nn.Linear).forward(x);
    const [k, v] = layer.c_attn.forward(context).split(12, { dim: 2 });
    assertClose(layer.forward(x, context), computeAttention(layer, q, k, v), tolerance);
    assert.throws(() => layer.forward(x), /MultiHeadAttention: context is missing/);
    const selfAttention = new nn.MultiHeadAttention(sizes).to(on);
    assert.throws(() => selfAttention.forward(x, context), /MultiHeadAttention: context passed/);
  });

  test("MultiHeadAttention: gradients of self-attention and cross-attention", () => {
    const options = { dtype: "f64", device: "ts" } as const;
    const x = randn([1, 4, 12], { ...options, requiresGrad: true });
    const other = randn([1, 3, 12], { ...options, requiresGrad: true });
    const selfAttention = new nn.MultiHeadAttention({ ...sizes, rotary: nn.rotaryTable(4, 4) });
    const crossAttention = new nn.MultiHeadAttention({ ...sizes, cross: true, qkNorm: true });
    for (const layer of [selfAttention, crossAttention]) layer.to("ts").to("f64");
    assert.ok(checkGradient((x) => selfAttention.forward(x), [x]).ok);
    assert.ok(checkGradient((x, y) => crossAttention.forward(x, y), [x, other]).ok);
  });

  test("MultiHeadAttention applies dropout only in training", () => {
    const layer = new nn.MultiHeadAttention({ ...sizes, dropout: 0.5 }).to(on);
    const x = randn([2, 7, 12], { device: on });
    assert.not.equal(layer.forward(x).data(), layer.forward(x).data());
    layer.eval();
    assert.equal(layer.forward(x).data(), layer.forward(x).data());
  });

  test("MultiHeadAttention: invalid options are errors", () => {
    const createWith = (options: object) => () =>
      new nn.MultiHeadAttention({ ...sizes, ...options } as nn.AttentionOptions);
    assert.throws(createWith({ nHead: 5 }), /nEmbd is 12, expected a multiple of nHead, 5/);
    assert.throws(createWith({ cross: true, causal: true }), /supports neither causal nor rotary/);
    assert.throws(createWith({ dropout: 2 }), /p is 2, expected 0 to 1/);
    assert.throws(createWith({ heads: 2 }), /unknown option heads/);
    const bidirectional = new nn.MultiHeadAttention(sizes);
    assert.throws(
      () => bidirectional.extend(randn([1, 1, 12]), {} as nn.Past),
      /needs a causal layer/,
    );
  });

  test("MLP: a hidden layer of 4 nEmbd, or a gated one with as many parameters", () => {
    const x = randn([2, 3, 12], { device: on });
    const plain = new nn.MLP({ nEmbd: 12 }).to(on);
    assert.equal(plain.c_fc.weight.shape, [48, 12]);
    const { c_fc, c_proj } = plain;
    const y = linear(linear(x, c_fc.weight, c_fc.bias).gelu(), c_proj.weight, c_proj.bias);
    assertClose(plain.forward(x), y, tolerance);
    const gated = new nn.MLP({ nEmbd: 12, activation: "swiglu" }).to(on);
    assert.equal(
      [gated.c_fc.weight.shape, gated.c_proj.weight.shape],
      [
        [64, 12],
        [12, 32],
      ],
    );
    const [a, b] = linear(x, gated.c_fc.weight, gated.c_fc.bias).split(32, { dim: 2 });
    assertClose(gated.forward(x), gated.c_proj.forward(a.silu().mul(b)), tolerance);
  });

  for (const norm of ["layer", "rms"] as const)
    test(`EncoderBlock with ${norm} norm: two residual branches, equivariant to order`, () => {
      const block = new nn.EncoderBlock({ ...sizes, norm }).to(on);
      const x = randn([1, 4, 12], { device: on });
      const y = add(x, block.attn.forward(block.ln_1.forward(x)));
      assertClose(block.forward(x), add(y, block.mlp.forward(block.ln_2.forward(y))), tolerance);
      const [first, second, ...rest] = x.split(1, { dim: 1 });
      const swapped = block.forward(cat([second, first, ...rest], { dim: 1 }));
      const [p, q, ...others] = block.forward(x).split(1, { dim: 1 });
      assertClose(swapped, cat([q, p, ...others], { dim: 1 }), tolerance);
    });

  test("DecoderBlock: three residual branches; causal, and attends to all of the memory", () => {
    const block = new nn.DecoderBlock(sizes).to(on);
    const x = randn([1, 4, 12], { device: on });
    const memory = randn([1, 6, 12], { device: on });
    const y = add(x, block.attn.forward(block.ln_1.forward(x)));
    const z = add(y, block.cross.forward(block.ln_x.forward(y), memory));
    const full = block.forward(x, memory);
    assertClose(full, add(z, block.mlp.forward(block.ln_2.forward(z))), tolerance);
    noGrad(() => {
      const prefix = { dim: 1, start: 0, end: 3 };
      const shorter = block.forward(x.slice(prefix), memory);
      assertClose(full.slice(prefix), shorter, tolerance);
      const withLessMemory = block.forward(x, memory.slice({ dim: 1, start: 0, end: 5 }));
      const first = { dim: 1, start: 0, end: 1 };
      const change = full.slice(first).sub(withLessMemory.slice(first)).abs().max().item();
      assert.ok(change > 1e-4, `${change}`);
    });
  });

  test("RMSNorm: a worked example, for a tensor and a residual stream", () => {
    const layer = new nn.RMSNorm(2, { eps: 0 }).to(on);
    const x = tensor([[3, 4]], { device: on });
    const root = Math.sqrt(12.5);
    assertClose(layer.forward(x), [3 / root, 4 / root]);
    const stream = new nn.ResidualStream(x).add(tensor([[4, -4]], { device: on }));
    assertClose(layer.forward(stream), [Math.SQRT2, 0]);
    assertClose(stream.sum(), [7, 0]);
  });

  test("sinusoidalTable and rotaryTable: the formulas", () => {
    const sinusoids = nn.sinusoidalTable(3, 4).data();
    const slow = 2 / 100; // position 2, frequency 10000^(-2 / 4)
    assertClose(sinusoids.slice(8), [Math.sin(2), Math.cos(2), Math.sin(slow), Math.cos(slow)]);
    const rotations = nn.rotaryTable(3, 4).data();
    assertClose(rotations.slice(8), [Math.cos(2), Math.cos(slow), Math.sin(2), Math.sin(slow)]);
  });
});
