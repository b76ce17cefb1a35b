// Solutions to lesson 9
//
// Normalization after the sum, more blocks, and when to stop.
//
// Time: 20 seconds.

import { loadCorpus, manualSeed, nn, optim, type Tensor } from "tinybard";
import { LanguageModel, type Layer } from "../06-head.ts";
import { MultiHeadAttention } from "../07-heads.ts";
import { FeedForward } from "../08-block.ts";
import { NormalizedBlock, ResidualBlock } from "../09-residuals.ts";
import { show } from "../figure.ts";
import { lineChart } from "../line-chart.ts";
import { say } from "../print.ts";
import { blockSize, budget, estimateLoss, fit, getBatch, tokenize } from "../training.ts";

/** ln(x + f(x)) instead of x + f(ln(x)), as in Vaswani et al. (2017). */
class PostNormBlock extends nn.Module {
  readonly ln1 = new nn.LayerNorm(32);
  readonly sa = new MultiHeadAttention(32, 4);
  readonly ln2 = new nn.LayerNorm(32);
  readonly ffwd = new FeedForward(32);

  forward(x: Tensor): Tensor {
    x = this.ln1.forward(x.add(this.sa.forward(x))); // (B, T, C)
    return this.ln2.forward(x.add(this.ffwd.forward(x))); // (B, T, C)
  }
}

export async function solution() {
  const { text } = await loadCorpus();
  const { tokenizer, train, val } = tokenize(text);
  const createModel = (count: number, createBlock: () => Layer) => {
    manualSeed(1337);
    const blocks = Array.from({ length: count }, createBlock);
    return new LanguageModel(tokenizer.vocabSize, 32, blockSize, ...blocks);
  };
  const trainBlocks = (count: number, createBlock: () => Layer, steps: number, lr: number) => {
    const model = createModel(count, createBlock);
    fit(model, train, { ...budget, steps, lr });
    return estimateLoss(model, val, 256);
  };

  say(`1. With the norm after the sum, each path from the loss to the first block passes through all
    norms. A single block learns about as well. A stack of six learns less in the same time, which
    is why GPT-2 and later models normalize the input of each layer instead.`);
  const placements = { before: () => new NormalizedBlock(32, 4), after: () => new PostNormBlock() };
  const byPlacement = Object.entries(placements).map(([name, createBlock]) => {
    const one = trainBlocks(1, createBlock, 150, 0.01);
    const six = trainBlocks(6, createBlock, 150, 0.01);
    console.log(`norm ${name.padEnd(7)} one block ${one.toFixed(3)}, six ${six.toFixed(3)}`);
    return { one, six };
  });

  say(`2. Each doubling of the blocks doubles the time. In this short training it improves the loss,
    but not as much as spending the same time on more steps of a single block.`);
  const trials = [
    { count: 1, steps: 250 },
    { count: 2, steps: 250 },
    { count: 4, steps: 250 },
    { count: 1, steps: 1000 },
  ];
  const byCount = trials.map(({ count, steps }) => {
    const start = performance.now();
    const loss = trainBlocks(count, () => new ResidualBlock(32, 4), steps, 0.01);
    const seconds = (performance.now() - start) / 1000;
    const label = `${count} block(s), ${steps} steps:`.padEnd(24);
    console.log(`${label} loss ${loss.toFixed(3)} in ${seconds.toFixed(1)} s`);
    return loss;
  });

  say(`3. The training loss falls to the end. The validation loss is lowest near the start: from
    then on the model memorizes the 2000 characters and becomes worse at everything else. Stop
    there, or keep the best checkpoint, as npm run train does.`);
  const few = train.subarray(0, 2000);
  const model = createModel(1, () => new NormalizedBlock(32, 4));
  const optimizer = new optim.AdamW(model.parameters(), { lr: 0.01 });
  const points: { step: number; trainLoss: number; valLoss: number }[] = [];
  for (let step = 1; step <= 500; step++) {
    const [x, y] = getBatch(few, budget.batchSize, blockSize);
    model.forward(x, y).loss?.backward();
    optimizer.step();
    optimizer.zeroGrad();
    if (step % 25 > 0) continue;
    points.push({ step, trainLoss: estimateLoss(model, few), valLoss: estimateLoss(model, val) });
  }
  const curves = [
    { name: "2000 characters", points: points.map((p) => [p.step, p.trainLoss] as const) },
    { name: "new text", points: points.map((p) => [p.step, p.valLoss] as const) },
  ];
  show(lineChart(curves, { title: "loss", xLabel: "step" }), "solution-09");
  const best = points.reduce((a, b) => (b.valLoss < a.valLoss ? b : a));
  console.log(`best validation loss ${best.valLoss.toFixed(3)}, at step ${best.step}`);
  return { byPlacement, byCount, points, best };
}
