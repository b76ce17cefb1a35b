// Moving the bias of the output head into the last normalization.

import { GPT, type GPTOptions, manualSeed, softmax, type Tensor, tensor } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { foldHeadBias } from "#src/gpt/head-bias.js";

const test = suite("head-bias");

test("equals a solution by hand", () => {
  // W = [[1], [2]]: d + c = 1 and 2 d + c = 3, so d = 2 and c = -1
  assert.equal(foldHeadBias([1, 2], [1, 3], [0.5]), Float32Array.of(2.5));
});

test("the probabilities of the model stay, with as many tokens as possible", () => {
  for (const tieWeights of [false, true]) {
    for (const vocabSize of [2, 16, 17]) {
      manualSeed(vocabSize);
      const sizes = { vocabSize, blockSize: 8, nLayer: 1, nHead: 2, nEmbd: 16 };
      const options: GPTOptions = { ...sizes, lmHeadBias: true, tieWeights };
      const model = new GPT(options);
      const bias = Float32Array.from({ length: vocabSize }, (_, i) => Math.sin(i + 1));
      model.lm_head.bias?.assign(tensor(bias));
      const idx = tensor([[0, 1, 1, 0]], { dtype: "i32" });
      const probabilities = () =>
        softmax(model.forward(idx).logits as Tensor, { dim: 2 }).data() as Float32Array;
      const before = probabilities();
      const { bias: beta } = model.ln_f as unknown as { bias: Tensor };
      const folded = foldHeadBias(model.lm_head.weight.data(), bias, beta.data());
      assert.ok(folded);
      beta.assign(tensor(folded));
      model.lm_head.bias?.fill(0);
      for (const [i, p] of probabilities().entries())
        assert.ok(Math.abs(p - before[i]) < 2e-6, `${vocabSize} tokens: ${p}, ${before[i]}`);
    }
  }
});

test("null if there are too many tokens, or their rows are dependent", () => {
  assert.is(foldHeadBias([1, 2, 3], [1, 3, 0], [0]), null);
  assert.is(foldHeadBias([1, 1], [1, 3], [0]), null);
  assert.is(foldHeadBias([0, 0], [1, 3], [0]), null);
  assert.is(foldHeadBias([NaN, 1], [1, 3], [0]), null);
});

test.run();
