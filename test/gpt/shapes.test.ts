// The names and shapes of weights that are derived from a configuration equal those of the model.

import { GPT, type TrainConfig } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { device } from "#src/backend/devices.js";
import { activations, type GPTConfig, norms, positionKinds } from "#src/gpt/config.js";
import { checkShapes, gptShapes } from "#src/gpt/shapes.js";
import type { StateDict } from "#src/nn/index.js";
import { adapterState } from "#src/nn/lora.js";
import { buildModel } from "#src/runs/build.js";
import { checkWeightShapes } from "#src/runs/shapes.js";
import { resolveConfig } from "#src/train/config.js";
import { initializeFrom } from "#src/train/finetune.js";

const test = suite("gpt/shapes");
const sizes = { vocabSize: 11, blockSize: 6, nLayer: 3, nHead: 2, nEmbd: 20 };

function* variants(): Generator<GPTConfig> {
  for (const positions of positionKinds)
    for (const norm of norms)
      for (const activation of activations)
        for (const bias of [true, false])
          for (const other of [true, false])
            yield {
              ...new GPT(sizes, { initWeights: false }).config,
              positions,
              norm,
              activation,
              bias,
              qkvBias: other,
              tieWeights: bias === other,
              lmHeadBias: other,
              nKvHead: bias ? 1 : 2,
              headDim: other ? 6 : 10,
              mlpWidth: 4 + activation.length,
              qkNorm: other,
              qkNormWeight: other,
              tokenShift: bias === other,
            };
}

const toShapes = (dict: StateDict) =>
  Object.entries(dict).map(([name, { shape }]): [string, readonly number[]] => [name, [...shape]]);

test("the shapes of a GPT are those of its state dict", () => {
  let count = 0;
  for (const config of variants()) {
    const expected = toShapes(new GPT(config, { initWeights: false }).stateDict());
    assert.equal([...gptShapes(config)], expected, JSON.stringify(config));
    count++;
  }
  assert.is(count, 4 * 2 * 7 * 4);
});

const found = (dict: StateDict) =>
  Object.entries(dict).map(([name, { shape }]) => ({ name, shape }));

test("checkpoints of GPTs, bigram models, adapters and quantized models are accepted", () => {
  const ts = device("ts");
  for (const { vocabSize, ...options } of variants()) {
    const config = resolveConfig("test", options);
    for (const bits of [undefined, 8, 4] as const) {
      const model = buildModel(config, vocabSize, ts, null, { bits });
      checkWeightShapes(found(model.stateDict()), config, vocabSize, bits);
    }
  }
  const bigram = resolveConfig("test", { model: "bigram" });
  const model = buildModel(bigram, 7, ts, null);
  checkWeightShapes(found(model.stateDict()), bigram, 7);
  for (const freeze of [undefined, 0, 1, 2]) {
    const config: TrainConfig = {
      ...resolveConfig("test", { ...sizes, vocabSize: undefined }),
      loraRank: 2,
      freeze,
    };
    const adapted = new GPT(sizes);
    initializeFrom(adapted, config, null);
    checkWeightShapes(found(adapterState(adapted)), config, 11);
  }
});

test("a configuration of any size is compared at once", () => {
  const config = resolveConfig("test", { nLayer: 2, nEmbd: 16, nHead: 2 });
  const weights = found(buildModel(config, 11, device("ts"), null).stateDict());
  const start = performance.now();
  for (const [change, message] of [
    [{ nLayer: 1e9 }, /h.2.ln_1.weight, h.2.ln_1.bias, .* missing/],
    [{ nLayer: Number.MAX_SAFE_INTEGER }, /h.2.ln_1.weight, .* missing/],
    [{ nLayer: 1 }, /h.1.ln_1.weight, .* unknown/],
    [{ nEmbd: 1e15 }, /wte.weight has shape \[11, 16\], expected \[11, 1000000000000000\] by con/],
    [{ blockSize: 1e9 }, /wpe.weight has shape \[32, 16\], expected \[1000000000, 16\]/],
    [{ loraRank: 1e9 }, /h.0.attn.c_attn.lora_A, .* missing/],
    [{ loraRank: 4, freeze: 1e9 }, /wte.weight, .* unknown/],
    [{ model: "bigram" }, /token_embedding_table.weight missing/],
  ] as [Partial<TrainConfig>, RegExp][])
    assert.throws(() => checkWeightShapes(weights, { ...config, ...change }, 11), message);
  assert.throws(() => checkWeightShapes(weights, config, 1e9), /expected \[1000000000, 16\]/);
  assert.throws(() => checkWeightShapes(weights, config, 11, 8), /wte.scale, .* missing/);
  assert.ok(performance.now() - start < 2000);
});

test("the tensor with the problem is named", () => {
  const expected = new Map([
    ["a", [1]],
    ["b", [2]],
  ] as [string, number[]][]);
  const problems: string[] = [];
  const check = (...shapes: [string, number[]][]) => {
    const list = shapes.map(([name, shape]) => ({ name, shape }));
    const reject = (problem: string, tensor: string): never => {
      problems.push(`${tensor}: ${problem}`);
      throw new Error();
    };
    try {
      checkShapes(list, expected, "here", reject);
    } catch {}
  };
  check(["a", [1]], ["b", [2]]);
  check(["a", [1]]);
  check(["a", [1]], ["b", [2]], ["c", []]);
  check(["b", [3]], ["a", [1]]);
  assert.equal(problems, [
    "b: b missing",
    "c: c unknown",
    "b: b has shape [3], expected [2] by here",
  ]);
});

test.run();
