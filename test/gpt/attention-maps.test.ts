// Attention maps: recomputed weights reproduce the output of each attention layer.

import { GPT, generate, nn, noGrad, quantize, randn, type Tensor, tensor } from "tinybard";
import * as assert from "uvu/assert";
import { attentionMaps, attentionWeights } from "#src/gpt/attention-maps.js";
import { generateWithLogits, tokenProbability } from "#src/gpt/generate.js";
import { assertClose, eachDevice } from "../support/harness.js";

const tiny = { vocabSize: 11, blockSize: 8, nLayer: 3, nHead: 2, nEmbd: 24 };

eachDevice("attention maps", (test, on) => {
  const idx = () => tensor([[3, 1, 4, 1, 5, 9, 2]], { dtype: "i32", device: on });

  /** Builds a model with weights that are large enough for its attention not to be uniform. */
  const buildModel = (options: object) => {
    const model = new GPT({ ...tiny, ...options }).to(on);
    noGrad(() => {
      for (const [name, w] of model.namedParameters()) {
        if (w.shape.length === 2) w.assign(w.detach().mul(16));
        if (name.includes("shift")) w.fill(0.5);
      }
    });
    return model;
  };

  /** Runs a forward pass, and returns the input and output of each attention layer. */
  const captureAttention = (model: GPT) => {
    const captured: [x: Tensor, y: Tensor][] = [];
    for (const { attn } of model.h) {
      const forward = attn.forward.bind(attn);
      attn.forward = (x) => {
        const y = forward(x);
        captured.push([x, y]);
        return y;
      };
    }
    noGrad(() => model.forward(idx()));
    for (const { attn } of model.h) Reflect.deleteProperty(attn, "forward");
    return captured;
  };

  /** Computes a layer's output from its attention weights. */
  const computeOutput = (layer: nn.MultiHeadAttention, weights: Tensor, x: Tensor) => {
    const [B, T, C] = x.shape;
    const v = layer.c_attn.forward(x).slice({ dim: 2, start: 2 * C });
    const heads = v.reshape([B, T, layer.nHead, -1]).permute([0, 2, 1, 3]);
    const y = weights.matmul(heads).permute([0, 2, 1, 3]).reshape([B, T, C]);
    return layer.c_proj.forward(y);
  };

  for (const options of [
    {},
    { positions: "rotary", norm: "rms", activation: "swiglu" },
    { positions: "sinusoidal", activation: "relu", bias: false },
    { positions: "none", activation: "tanh", qkvBias: false, tieWeights: false },
    { positions: "rotary", bits: 8 },
    { qkNorm: true, activation: "relu2", logitSoftcap: 15 },
    { positions: "rotary", qkNorm: true, bits: 4 },
    { bits: 4 },
    { positions: "rotary", tokenShift: true },
  ] as const)
    test(`attentionMaps reproduces the output of each layer, ${JSON.stringify(options)}`, () => {
      const { bits, ...config } = { bits: undefined, ...options };
      const float = buildModel({ ...config, dropout: 0.3 });
      const model = bits ? quantize(float, { bits }) : float;
      model.eval();
      const captured = captureAttention(model);
      model.train();
      const maps = [...attentionMaps(model, idx())];
      assert.ok(
        [...model.modules()].every((module) => module.training),
        "training modes are restored",
      );
      assert.is(maps.length, 3);
      for (const [i, map] of maps.entries()) {
        assert.equal(map.shape, [1, 2, 7, 7]);
        assert.not(map.requiresGrad);
        const values = map.data() as Float32Array;
        for (let row = 0; row < 14; row++) {
          const weights = values.slice(7 * row, 7 * row + 7);
          assert.ok(Math.abs(weights.reduce((sum, w) => sum + w) - 1) < 1e-5, `${weights}`);
          assert.equal([...weights.slice((row % 7) + 1)], Array(6 - (row % 7)).fill(0));
        }
        // the test is only meaningful if attention is not uniform; QK-norm bounds the scores
        const least = model.config.qkNorm ? 0.17 : 0.25;
        assert.ok(Math.max(...values.slice(42, 49)) > least, `${values.slice(42, 49)}`);
        const [x, y] = captured[i];
        model.eval();
        const close = { rtol: 1e-5, atol: 1e-5 };
        noGrad(() => assertClose(computeOutput(model.h[i].attn, map, x), y, close));
      }
    });

  test("attentionWeights: without a mask all tokens attend to each other; a batch", () => {
    const layer = new nn.MultiHeadAttention({ nEmbd: 24, nHead: 3 }).to(on);
    const x = randn([2, 5, 24], { device: on });
    const weights = attentionWeights(layer, x);
    assert.equal(weights.shape, [2, 3, 5, 5]);
    assert.ok(Math.min(...weights.data()) > 0);
    assertClose(computeOutput(layer, weights, x), layer.forward(x), { rtol: 1e-5, atol: 1e-5 });
  });

  test("attentionMaps, attentionWeights: wrong arguments", () => {
    const model = buildModel({});
    const long = tensor([Array(9).fill(1)], { dtype: "i32", device: on });
    assert.throws(() => [...attentionMaps(model, long)], /idx has 9 tokens, expected at most 8/);
    const flat = tensor([1, 2], { dtype: "i32", device: on });
    assert.throws(() => [...attentionMaps(model, flat)], /attentionMaps: idx has shape/);
    const cross = new nn.MultiHeadAttention({ nEmbd: 24, nHead: 3, cross: true }).to(on);
    assert.throws(
      () => attentionWeights(cross, randn([1, 2, 24], { device: on })),
      /the layer has cross-attention/,
    );
  });

  test("generateWithLogits: the ids of generate(), and the logits that they were sampled from", async () => {
    const model = buildModel({}).eval();
    const options = { prompt: [1, 2], maxNewTokens: 12, seed: 5, temperature: 1.4, topK: 4 };
    const text = [1, 2];
    for await (const { id, logits } of generateWithLogits(model, options)) {
      const input = tensor([text.slice(-8)], { dtype: "i32", device: on });
      const all = (model.forward(input).logits as Tensor).softmax().data().slice(-11);
      assert.ok(Math.abs(tokenProbability(logits, id) - all[id]) < 1e-5, `${id} in ${all}`);
      text.push(id);
    }
    const ids: number[] = [];
    for await (const id of generate(model, options)) ids.push(id);
    assert.equal(text.slice(2), ids);
    assert.is(ids.length, 12);
    assert.is(tokenProbability([1000, 1000, -Infinity], 0), 0.5);
    assert.is(tokenProbability([1000, 1000, -Infinity], 2), 0);
  });
});
