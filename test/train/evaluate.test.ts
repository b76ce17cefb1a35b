// Evaluation: which batches of which split it averages over.

import { mean, type Tensor, tensor } from "tinybard";
import * as assert from "uvu/assert";
import { sampleBatch, toCounterTensor } from "#src/data/batches.js";
import type { LanguageModel } from "#src/gpt/language-model.js";
import { resolveConfig } from "#src/train/config.js";
import { makeEvaluator } from "#src/train/evaluate.js";
import { assertClose, eachDevice } from "../support/harness.js";

eachDevice("evaluate", (test, on) => {
  const evalIters = 3;
  const batchSize = 4;
  const blockSize = 5;
  const config = resolveConfig("test", { evalIters, batchSize, blockSize, seed: 7 });
  /** A model whose loss is the mean of its targets: it tells which batches it got. */
  const model = {
    forward: (_x: Tensor, y: Tensor) => ({ logits: null, loss: mean(y.to("f32")) }),
    eval() {},
    train() {},
  } as unknown as LanguageModel;
  const count = (n: number, start: number) => Int32Array.from({ length: n }, (_, i) => start + i);

  /** Returns the mean loss over the batches of the given sites. */
  const expectedLoss = (split: Int32Array, sites: number[], step: number) => {
    const tokens = tensor(split, { device: on });
    const losses = sites.map((site) => {
      const counter = toCounterTensor({ site, step, seed: config.seed }, on);
      const [, y] = sampleBatch(tokens, counter, "evaluation", [batchSize, blockSize]);
      return mean(y.to("f32")).item();
    });
    return losses.reduce((sum, loss) => sum + loss, 0) / evalIters;
  };

  test("each split is evaluated on its own tokens and its own batches", async () => {
    const tokens = { train: count(500, 0), val: count(500, 1000) };
    const evaluate = makeEvaluator({ device: on, model, config, tokens });
    for (const step of [0, 1, 20]) {
      const losses = await evaluate(step);
      assert.ok(losses);
      const expected = [
        expectedLoss(tokens.train, [0, 1, 2], step),
        expectedLoss(tokens.val, [3, 4, 5], step),
      ];
      assertClose([losses.trainLoss, losses.valLoss], expected, { rtol: 1e-5 });
      assert.ok(Math.abs(losses.valLoss - losses.trainLoss - 1000) > 1, "other positions");
      assert.equal(await evaluate(step), losses, "the same step has the same batches");
    }
    const [first, second] = [await evaluate(0), await evaluate(1)];
    assert.is.not(first?.valLoss, second?.valLoss);
  });
});
