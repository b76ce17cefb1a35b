// Lesson 7: Multi-head attention
//
// A head computes one weighted average of the past for each token. But a character depends on
// several things at once: the last vowel, the start of the word, the character just before it. One
// set of weights cannot focus on all of them. So we run four heads in parallel, each a quarter as
// wide. Each has its own queries and keys, and together they have as many weights as one full head.
//
// Time: 3 seconds.

import { cat, crossEntropy, loadCorpus, manualSeed, nn, noGrad, type Tensor } from "tinybard";
import { Head, LanguageModel } from "./06-head.ts";
import { show } from "./figure.ts";
import { heatmap } from "./heatmap.ts";
import { addLoss } from "./loss-table.ts";
import { say } from "./print.ts";
import {
  blockSize,
  budget,
  countParameters,
  estimateLoss,
  fit,
  getBlocks,
  tokenize,
} from "./training.ts";

/** Heads in parallel, and a projection that mixes their outputs. Vaswani et al. (2017). */
export class MultiHeadAttention extends nn.Module {
  readonly heads: Head[];
  readonly proj: nn.Linear;

  constructor(nEmbd: number, nHead: number) {
    super();
    const headSize = nEmbd / nHead;
    this.heads = Array.from({ length: nHead }, () => new Head(nEmbd, headSize));
    this.proj = new nn.Linear(nEmbd, nEmbd);
  }

  forward(x: Tensor): Tensor {
    const outputs = this.heads.map((head) => head.forward(x)); // nHead times (B, T, hs)
    return this.proj.forward(cat(outputs, { dim: -1 })); // (B, T, C)
  }
}

export async function lesson() {
  manualSeed(1337);
  const { name, text } = await loadCorpus();
  const { tokenizer, train, val } = tokenize(text);
  const sa = new MultiHeadAttention(32, 4);
  const model = new LanguageModel(tokenizer.vocabSize, 32, blockSize, sa);

  say(`One head of size 32 has three matrices of 32 x 32. Four heads of size 8 have twelve matrices
    of 32 x 8, which is the same number of weights. The projection is extra, and here it is
    redundant: lm_head follows it directly, and two linear maps in a row are one, so lm_head alone
    can combine the heads just as well. The projection is useful from lesson 9 on, where the output
    of attention is added to its input: it lets each head write to all channels instead of its own
    eight.`);
  const oneHead = countParameters(new Head(32, 32));
  const fourHeads = sa.heads.reduce((sum, head) => sum + countParameters(head), 0);
  console.log(`one head of size 32:  ${oneHead} weights`);
  console.log(`four heads of size 8: ${fourHeads} weights`);
  console.log(`the projection:       ${countParameters(sa.proj)} weights and biases\n`);

  fit(model, train, { ...budget, lr: 0.03 });
  const loss = estimateLoss(model, val, 256);
  console.log(`loss of four heads: ${loss.toFixed(3)}`);

  say(`Where does each head look? The mean attention weight of the last token of a block, by
    distance: 0 is the token itself, 1 the token before it, and so on.`);
  const starts = Array.from({ length: 64 }, (_, i) => Math.floor((i * (val.length - 17)) / 64));
  const [x, y] = getBlocks(val, starts, blockSize); // (64, T), (64, T)
  const embedded = noGrad(() => model.embed(x)); // (64, T, C)
  const meanWeights = sa.heads.map((head) => {
    const weights = noGrad(() => head.weights(embedded).toArray()) as number[][][]; // (64, T, T)
    const lastRows = weights.map((sequence) => sequence[blockSize - 1]); // (64, T)
    return Array.from({ length: 8 }, (_, distance) => {
      const atDistance = lastRows.map((row) => row[blockSize - 1 - distance]);
      return atDistance.reduce((sum, weight) => sum + weight, 0) / atDistance.length;
    });
  });
  const figure = heatmap(meanWeights, {
    title: "mean attention weight by distance in tokens",
    rowLabels: sa.heads.map((_, i) => `head ${i + 1}`),
    columnLabels: Array.from({ length: 8 }, (_, distance) => String(distance)),
    cellText: meanWeights.map((row) => row.map((weight) => weight.toFixed(2).slice(1))),
  });
  show(figure, "lesson-07");

  say(`How much does each head contribute? Ablate one head at a time and measure the increase in
    loss.`);
  const outputs = noGrad(() => sa.heads.map((head) => head.forward(embedded)));
  const lossWith = (headOutputs: Tensor[]) =>
    noGrad(() => {
      const hidden = sa.proj.forward(cat(headOutputs, { dim: -1 })); // (64, T, C)
      const logits = model.lm_head.forward(hidden); // (64, T, V)
      return crossEntropy(logits, y).item();
    });
  const fullLoss = lossWith(outputs);
  const ablations = outputs.map((ablated) => {
    const remaining = outputs.map((output) => (output === ablated ? output.mul(0) : output));
    return lossWith(remaining) - fullLoss;
  });
  for (const [i, increase] of ablations.entries())
    console.log(`without head ${i + 1}, the loss is ${increase.toFixed(2)} higher`);
  addLoss(name, "heads", { lesson: 7, loss, parameters: countParameters(model) });

  console.log(`
Exercises
1. Try 2 heads of size 16 and 16 heads of size 2. At which size does a head become too narrow?
2. Remove proj. Does the loss rise, compared with the differences between seeds? Why not?
3. Ablate two heads at once. Is the increase in loss the sum of the two increases?`);
  return { oneHead, fourHeads, loss, meanWeights, ablations };
}
