// The text of modules, optimizers, schedulers, data loaders, tokenizers and devices.

import { inspect } from "node:util";
import {
  arange,
  BigramLanguageModel,
  BPETokenizer,
  CharTokenizer,
  DataLoader,
  device,
  EncoderDecoder,
  GPT,
  nn,
  optim,
  quantize,
  randn,
  relu,
  TensorDataset,
  tensor,
  WordTokenizer,
} from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { KVCache } from "#src/gpt/kv-cache.js";

const test = suite("printing of objects");
const sizes = { blockSize: 16, nHead: 2, nEmbd: 32 };
const createGPT = (options = {}) => new GPT({ ...sizes, vocabSize: 65, nLayer: 3, ...options });

test("a GPT is a tree in which equal blocks are one entry and a shared weight counts once", () => {
  const text = `GPT(  // 40,768 parameters
  (wte): Embedding(65, 32)  // 2,080 parameters
  (wpe): Embedding(16, 32)  // 512 parameters
  (h): [  // 38,112 parameters
    (0-2): 3 x Block(  // 12,704 parameters each
      dropout=0
      (ln_1): LayerNorm(size=32, eps=1e-5, bias=true)  // 64 parameters
      (attn): MultiHeadAttention(  // 4,224 parameters
        nHead=2, nKvHead=2, headDim=16, causal=true, dropout=0, qkNorm=false, normEps=1e-5
        (c_attn): Linear(32 -> 96, bias=true)  // 3,168 parameters
        (c_proj): Linear(32 -> 32, bias=true)  // 1,056 parameters
      )
      (ln_2): LayerNorm(size=32, eps=1e-5, bias=true)  // 64 parameters
      (mlp): MLP(  // 8,352 parameters
        activation=gelu
        (c_fc): Linear(32 -> 128, bias=true)  // 4,224 parameters
        (c_proj): Linear(128 -> 32, bias=true)  // 4,128 parameters
      )
    )
  ]
  (ln_f): LayerNorm(size=32, eps=1e-5, bias=true)  // 64 parameters
  (lm_head): Linear(32 -> 65, bias=false)  // weight is wte.weight
)`;
  for (const printed of [inspect(createGPT()), String(createGPT())]) assert.is(printed, text);
});

test("the number of parameters is that of parameters()", () => {
  const options = { ...sizes, nEncoderLayer: 1, nDecoderLayer: 2 };
  for (const model of [
    createGPT({ tieWeights: false, activation: "swiglu", positions: "rotary" }),
    new BigramLanguageModel(65),
    new EncoderDecoder({ ...options, sourceVocabSize: 65, targetVocabSize: 66 }),
    new nn.LSTM(3, 4, { numLayers: 2, bidirectional: true }),
  ]) {
    const count = [...model.parameters()].reduce((total, w) => total + w.size, 0);
    const [first] = String(model).split("\n");
    assert.ok(first.endsWith(`  // ${count.toLocaleString("en-US")} parameters`), first);
  }
});

test("layers show their options", () => {
  class Net extends nn.Module {
    first = new nn.Linear(2, 2);
    second = this.first;
    list = new nn.ModuleList([new nn.Linear(1, 1), new nn.Linear(1, 1), new nn.Linear(1, 2)]);
    table = { act: new nn.ReLU() };
    weight = tensor([1, 2], { requiresGrad: true });
    rate = 0.5;
  }
  assert.is(
    String(new Net()),
    `Net(  // 16 parameters
  rate=0.5
  (first): Linear(2 -> 2, bias=true)  // 6 parameters
  (second): Linear()  // the module first
  (list): ModuleList(  // 8 parameters
    (0-1): 2 x Linear(1 -> 1, bias=true)  // 2 parameters each
    (2): Linear(1 -> 2, bias=true)  // 4 parameters
  )
  (table): [
    (act): ReLU()
  ]
)`,
  );
  const layers: [nn.Module, string][] = [
    [new nn.Dropout(0.1), "Dropout(p=0.1)"],
    [new nn.GELU(), "GELU(approximate=none)"],
    [new nn.RMSNorm(4), "RMSNorm(size=4, eps=1e-5)  // 4 parameters"],
    [
      new nn.Conv2d(1, 8, 3, { padding: 1 }),
      "Conv2d(1 -> 8, kernelSize=[3, 3], padding=1, bias=true)  // 80 parameters",
    ],
    [
      new nn.BatchNorm1d(4),
      "BatchNorm1d(channels=4, eps=1e-5, momentum=0.1)  // 8 parameters, 8 elements in buffers",
    ],
    [
      new nn.LoRALinear(new nn.Linear(8, 8), { rank: 2 }),
      "LoRALinear(8 -> 8, bias=true, rank=2, alpha=2)  // 104 parameters",
    ],
  ];
  for (const [layer, text] of layers) assert.is(String(layer), text);
  const functions = new nn.Sequential(relu, (x) => x);
  assert.match(String(functions), /\(0\): relu\n {4}\(1\): function\n/);
  const quantized = String(quantize(createGPT(), { bits: 8 }));
  assert.match(
    quantized,
    /c_fc\): QuantizedLinear\(rows=128, columns=32, bits=8\) {2}\/\/ 1,280 el/,
  );
});

test("a module inside itself ends", () => {
  class Loop extends nn.Module {
    self: nn.Module = this;
  }
  assert.is(String(new Loop()), "Loop(\n  (self): Loop()  // the module itself\n)");
});

test("optimizers and schedulers show options, rates and numbers of parameters", () => {
  const [a, b] = createGPT().parameters();
  assert.is(
    inspect(new optim.AdamW([a, b], { lr: 1e-4 })),
    "AdamW(lr=1e-4, betas=[0.9, 0.999], eps=1e-8, weightDecay=0.01, 2 tensors, 2,592 parameters)",
  );
  const sgd = new optim.SGD([
    { params: [a], lr: 0.1 },
    { params: [b], lrScale: 2 },
  ]);
  const text = `SGD(
  group 0: lr=0.1, momentum=0, weightDecay=0, 1 tensor, 2,080 parameters
  group 1: lr=0.001, lrScale=2, momentum=0, weightDecay=0, 1 tensor, 512 parameters
)`;
  assert.is(inspect(sgd), text);
  const combined = new optim.CombinedOptimizer({ sgd });
  assert.is(inspect(combined), `CombinedOptimizer(\n  (sgd): ${text.replaceAll("\n", "\n  ")}\n)`);
  const scheduler = new optim.StepLR(new optim.SGD([a], { lr: 1 }), { stepSize: 1, gamma: 0.5 });
  scheduler.step();
  assert.is(inspect(scheduler), "StepLR(lr=0.5, baseLr=1, lastEpoch=1)");
  const ema = new optim.EMA(new nn.Linear(2, 3), { decay: 0.9 });
  assert.is(inspect(ema), "EMA(decay=0.9, 2 tensors, 9 parameters)");
});

test("data, tokenizers, caches and devices are one line", () => {
  const dataset = new TensorDataset(randn([10, 3]), arange(10));
  assert.is(inspect(dataset), "TensorDataset(10 samples of [3], [])");
  assert.is(
    inspect(new DataLoader(dataset, { batchSize: 4, dropLast: true })),
    "DataLoader(10 samples, batchSize=4, shuffle=false, dropLast=true, 2 batches)",
  );
  assert.is(inspect(CharTokenizer.train("abc")), "CharTokenizer(3 tokens)");
  assert.match(inspect(WordTokenizer.train("a b a b")), /^WordTokenizer\(\d+ tokens\)$/);
  assert.is(inspect(BPETokenizer.train("low low", { vocabSize: 257 })), "BPETokenizer(257 tokens)");
  assert.is(inspect(device("ts")), "Device(ts)");
  const cache = new KVCache(createGPT().config, { device: device("ts") });
  cache.advance(2);
  assert.is(inspect(cache), "KVCache(3 layers, batch=1, 2 of 16 tokens, f32)");
});

test.run();
