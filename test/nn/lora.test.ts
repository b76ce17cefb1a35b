// LoRA and freezing: values, gradients, and the kernels that frozen layers do not call.

import { checkGradient, GPT, linear, nn, optim, rand, randn, type Tensor, tensor } from "tinybard";
import * as assert from "uvu/assert";
import { assertClose, eachDevice } from "../support/harness.js";

const config = { vocabSize: 11, blockSize: 8, nLayer: 3, nHead: 2, nEmbd: 8 };

eachDevice("LoRA", (test) => {
  const createBatch = () =>
    [0, 1].map((shift) =>
      tensor(
        Int32Array.from({ length: 12 }, (_, i) => (i * i + shift) % 11),
        { shape: [2, 6] },
      ),
    );
  /** Returns a GPT with nonzero adapters in its blocks. All other weights are frozen. */
  const createAdapted = (options: nn.LoRAOptions = { rank: 2, alpha: 3 }, variant = {}) => {
    const model = new GPT({ ...config, ...variant });
    nn.freeze([model]);
    for (const block of model.h) nn.adapt(block, options);
    for (const w of Object.values(nn.adapterState(model))) w.assign(randn([...w.shape]).mul(0.1));
    return model;
  };

  test("y = x w^T + b + (alpha / rank) (x A^T) B^T, with every activation", () => {
    const layer = new nn.LoRALinear(new nn.Linear(5, 4), { rank: 3, alpha: 6 });
    assert.equal(
      [layer.lora_A.shape, layer.lora_B.shape],
      [
        [3, 5],
        [4, 3],
      ],
    );
    const { weight: w, bias: b, lora_A, lora_B } = layer;
    const x = randn([2, 5]);
    assert.equal(layer.forward(x).data(), linear(x, w, b).data()); // B is initially 0
    assert.ok(lora_A.data().every((a) => a !== 0 && Math.abs(a) <= 1 / Math.sqrt(5)));
    lora_B.assign(randn([4, 3]));
    const lowRank = x.matmul(lora_A.transpose(0, 1)).matmul(lora_B.transpose(0, 1));
    const y = linear(x, w, b).add(lowRank.mul(2));
    assertClose(layer.forward(x), y, { rtol: 1e-5, atol: 1e-6 });
    assertClose(layer.forward(x, { activation: "gelu" }), y.gelu(), { rtol: 1e-5, atol: 1e-6 });
    assertClose(layer.forward(x, { activation: "silu" }), y.silu(), { rtol: 1e-5, atol: 1e-6 });
    assertClose(layer.forward(x, { activation: "relu2" }), y.relu2(), { rtol: 1e-5, atol: 1e-5 });
  });

  test("x, A and B have gradients, the base weights have none", () => {
    const layer = new nn.LoRALinear(new nn.Linear(5, 4).to("ts"), { rank: 2 }).to("f64");
    const { lora_A, lora_B } = layer;
    lora_B.assign(rand([4, 2], { dtype: "f64", device: "ts" }));
    const x = randn([3, 5], { dtype: "f64", device: "ts" });
    const f = (x: Tensor, A: Tensor, B: Tensor) =>
      nn.LoRALinear.prototype.forward.call(
        Object.assign(Object.create(layer), { lora_A: A, lora_B: B }),
        x,
      );
    const check = checkGradient(f, [x, lora_A.detach(), lora_B.detach()]);
    assert.ok(check.ok, JSON.stringify(check));
    layer.forward(x).sum().backward();
    assert.equal([layer.weight.grad, layer.bias?.grad], [null, null]);
    assert.equal(lora_A.grad?.shape, [2, 5]);
  });

  const modern = { qkNorm: true, activation: "relu2", logitSoftcap: 15 } as const;
  for (const variant of [{}, modern])
    test(`merging returns a plain GPT with the same logits, ${JSON.stringify(variant)}`, () => {
      const model = createAdapted({ rank: 2, alpha: 3 }, variant);
      const [x] = createBatch();
      const plain = new GPT({ ...config, ...variant });
      const dict = model.stateDict();
      for (const name of Object.keys(nn.adapterState(model))) delete dict[name];
      plain.loadStateDict(dict);
      const unmerged = model.forward(x).logits as Tensor;
      const base = plain.forward(x).logits as Tensor;
      nn.mergeAdapters(model);
      assert.equal(Object.keys(model.stateDict()), Object.keys(plain.stateDict()));
      assert.ok([...model.modules()].every((module) => !(module instanceof nn.LoRALinear)));
      const merged = model.forward(x).logits as Tensor;
      assertClose(merged, unmerged, { rtol: 1e-4, atol: 1e-6 });
      const change = Math.max(...merged.data().map((y, i) => Math.abs(y - base.data()[i])));
      assert.ok(change > 1e-3, `the adapters change the logits by ${change}`);
    });

  test("only the adapters are trained: names, count and gradients", () => {
    const model = createAdapted({ rank: 2 });
    const names = Object.keys(nn.adapterState(model));
    assert.is(names.length, 3 * 4 * 2); // blocks, layers, matrices
    assert.equal(names.slice(0, 2), ["h.0.attn.c_attn.lora_A", "h.0.attn.c_attn.lora_B"]);
    const [x, y] = createBatch();
    const before = new Map([...model.namedParameters()].map(([name, w]) => [name, w.data()]));
    const optimizer = new optim.AdamW([...model.parameters()].filter((w) => w.requiresGrad));
    (model.forward(x, y).loss as Tensor).backward();
    optimizer.step();
    for (const [name, w] of model.namedParameters()) {
      assert.is(w.grad !== null, names.includes(name), name);
      const isSame = w.data().every((value, i) => value === before.get(name)?.[i]);
      assert.is(isSame, !names.includes(name), name);
    }
  });

  test("adapting a layer with a shared weight is an error and changes nothing", () => {
    const model = new GPT(config); // its head shares the weight of the embedding
    const names = () => [...model.namedParameters()].map(([name]) => name);
    const before = names();
    const message = (op: string) =>
      new RegExp(
        `${op}: a linear layer shares its weight \\[11, 8\\] with another layer, expected`,
      );
    assert.throws(() => nn.adapt(model, { rank: 2 }), message("adapt"));
    assert.equal(names(), before);
    assert.ok([...model.parameters()].every((w) => w.requiresGrad));

    const head = new nn.LoRALinear(model.lm_head, { rank: 2 });
    Object.assign(model, { lm_head: head }); // lm_head is read-only
    head.lora_B.assign(randn([11, 2]));
    const weight = model.wte.weight.data();
    assert.throws(() => nn.mergeAdapters(model), message("mergeAdapters"));
    assert.equal(model.wte.weight.data(), weight);
    assert.is(model.lm_head, head);
  });

  test("a GPT with an untied head: merging leaves the logits unchanged", () => {
    const model = new GPT({ ...config, tieWeights: false });
    nn.adapt(model, { rank: 2 });
    for (const w of Object.values(nn.adapterState(model))) w.assign(randn([...w.shape]).mul(0.1));
    assert.is(Object.keys(nn.adapterState(model)).length, (3 * 4 + 1) * 2);
    const [x] = createBatch();
    const unmerged = model.forward(x).logits as Tensor;
    nn.mergeAdapters(model);
    assertClose(model.forward(x).logits as Tensor, unmerged, { rtol: 1e-4, atol: 1e-6 });
  });

  test("adapts layers in arrays and shared layers; invalid options are errors", () => {
    const shared = new nn.Linear(3, 3);
    const module = new nn.Sequential(shared, new nn.Sequential(new nn.Linear(3, 2)), shared);
    nn.adapt(module, { rank: 1 });
    assert.is(Object.keys(nn.adapterState(module)).length, 4);
    assert.is(module.layers[0], module.layers[2]);
    nn.mergeAdapters(module);
    assert.equal(Object.keys(module.stateDict()).length, 4);
    for (const [options, message] of [
      [{ rank: 0 }, /LoRALinear: rank is 0, expected a whole number from 1 up/],
      [{ rank: 1, alpha: "2" }, /LoRALinear: alpha is 2, expected a number/],
      [{ rank: 1, alpha: 0 }, /LoRALinear: alpha is 0, expected a number above 0/],
      [{ rank: 1, alpha: Number.NaN }, /LoRALinear: alpha is NaN, expected a number above 0/],
      [{ rank: 1, beta: 2 }, /LoRALinear: unknown option beta/],
    ] as const)
      assert.throws(() => nn.adapt(module, options as never), message);
  });
});

eachDevice("freezing", (test, on) => {
  /** Returns the number of calls of each gradient kernel in a step. */
  const countBackwardCalls = (model: GPT) => {
    const total = () => {
      const calls = new Map(on.calls.ts);
      for (const [name, n] of on.calls.native) calls.set(name, (calls.get(name) ?? 0) + n);
      return calls;
    };
    const x = tensor(Int32Array.of(1, 2, 3, 4), { shape: [1, 4] });
    const before = total();
    (model.forward(x, x, { logits: false }).loss as Tensor).backward();
    const backward = [...total()].filter(([name]) => name.endsWith("Backward"));
    const calls = backward.map(([name, n]) => [name, n - (before.get(name) ?? 0)] as const);
    return Object.fromEntries(calls.filter(([, n]) => n > 0));
  };
  const all = {
    embeddingBackward: 1,
    layerNormBackward: 1, // the first norm has no residual branch before it
    residualLayerNormBackward: 6,
    selfAttentionBackward: 3,
    linearBackward: 12,
    linearCrossEntropyBackward: 1,
  };

  test("no gradient kernel runs below the lowest trained layer", () => {
    const model = new GPT(config);
    assert.equal(countBackwardCalls(model), all);
    nn.freeze([model.wte, model.wpe as nn.Embedding, model.h[0], model.h[1]]);
    const { embeddingBackward, layerNormBackward, ...rest } = all;
    const upper = { ...rest, residualLayerNormBackward: 3, linearBackward: 4 };
    assert.equal(countBackwardCalls(model), { ...upper, selfAttentionBackward: 1 });
    nn.freeze(model.h);
    assert.equal(countBackwardCalls(model), {
      residualLayerNormBackward: 1,
      linearCrossEntropyBackward: 1,
    });
    nn.freeze([model]);
    const x = tensor(Int32Array.of(1, 2), { shape: [1, 2] });
    assert.is((model.forward(x, x).loss as Tensor).requiresGrad, false);
  });
});
