// Solutions to lesson 7
//
// The number of heads, heads without a projection, and two ablated heads at once.
//
// Time: 17 seconds.

import { cat, crossEntropy, loadCorpus, manualSeed, noGrad, type Tensor } from "tinybard";
import { LanguageModel } from "../06-head.ts";
import { MultiHeadAttention } from "../07-heads.ts";
import { say } from "../print.ts";
import { blockSize, budget, estimateLoss, fit, getBlocks, tokenize } from "../training.ts";

/** Heads in parallel whose outputs are concatenated and not mixed. */
class HeadsWithoutProjection extends MultiHeadAttention {
  override forward(x: Tensor): Tensor {
    return cat(
      this.heads.map((head) => head.forward(x)), // nHead times (B, T, hs)
      { dim: -1 },
    ); // (B, T, C)
  }
}

export async function solution() {
  const { text } = await loadCorpus();
  const { tokenizer, train, val } = tokenize(text);
  const trainHeads = (create: () => MultiHeadAttention, seed: number, steps: number) => {
    manualSeed(seed);
    const sa = create();
    const model = new LanguageModel(tokenizer.vocabSize, 32, blockSize, sa);
    fit(model, train, { ...budget, steps, lr: 0.03 });
    return { sa, model, loss: estimateLoss(model, val, 256) };
  };

  say(`1. The size of a head is also the rank of its matrix of scores. With size 2, each query and
    key is a point in a plane, which can tell few tokens apart.`);
  const byHeads = [2, 4, 16].map((nHead) => {
    const { loss } = trainHeads(() => new MultiHeadAttention(32, nHead), 1337, budget.steps);
    console.log(`${nHead} heads of size ${32 / nHead}: loss ${loss.toFixed(3)}`);
    return loss;
  });

  say(`2. The differences are those between seeds. lm_head follows the heads directly, so that proj
    and lm_head together are one linear map, and lm_head alone can learn it.`);
  const seeds = [1, 2, 3];
  const withProj = seeds.map((seed) => trainHeads(() => new MultiHeadAttention(32, 4), seed, 500));
  const withoutProj = seeds.map((seed) => {
    return trainHeads(() => new HeadsWithoutProjection(32, 4), seed, 500);
  });
  const format = (models: { loss: number }[]) =>
    models.map(({ loss }) => loss.toFixed(3)).join(" ");
  console.log(`with proj, three seeds: ${format(withProj)}`);
  console.log(`without:                ${format(withoutProj)}`);

  say(`3. The increase with two heads ablated is not the sum of the two increases: the heads depend
    on each other, and the loss is not a linear function of their outputs.`);
  const [{ sa, model }] = withProj;
  const starts = Array.from({ length: 64 }, (_, i) => Math.floor((i * (val.length - 17)) / 64));
  const [x, y] = getBlocks(val, starts, blockSize);
  const outputs = noGrad(() => sa.heads.map((head) => head.forward(model.embed(x))));
  const lossWithout = (...ablated: number[]) =>
    noGrad(() => {
      const remaining = outputs.map((output, i) => (ablated.includes(i) ? output.mul(0) : output));
      const hidden = sa.proj.forward(cat(remaining, { dim: -1 })); // (64, T, C)
      return crossEntropy(model.lm_head.forward(hidden), y).item();
    });
  const full = lossWithout();
  const first = lossWithout(0) - full;
  const second = lossWithout(1) - full;
  const both = lossWithout(0, 1) - full;
  console.log(`without head 1: +${first.toFixed(2)}, without head 2: +${second.toFixed(2)}`);
  console.log(`without both:   +${both.toFixed(2)}, the sum is ${(first + second).toFixed(2)}`);
  const losses = (models: { loss: number }[]) => models.map(({ loss }) => loss);
  return {
    byHeads,
    withProj: losses(withProj),
    withoutProj: losses(withoutProj),
    ablated: { first, second, both },
  };
}
