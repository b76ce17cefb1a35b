// Lesson 7: Several heads side by side
//
// A head makes one average of the past for each token: one set of shares, and what it takes from
// one place it cannot take from another. But a character wants to know several things at once:
// which vowel came last, where the word began, what stood just before. Four heads of a quarter of
// the width each ask their own question, for the same number of weights as one whole head.

import { cat, crossEntropy, loadCorpus, manualSeed, nn, noGrad, type Tensor } from "tinybard";
import { Head, LanguageModel } from "./06-head.ts";
import { addLoss } from "./losses.ts";
import { heatmap, show } from "./picture.ts";
import { blockSize, budget, fit, lossOn, parameterCount, pieces, tokensOf } from "./tiny.ts";

/** Heads side by side, and a layer that mixes what they bring.  Vaswani et al. (2017) */
export class MultiHeadAttention extends nn.Module {
  readonly heads: Head[];
  readonly proj: nn.Linear;

  constructor(C: number, nHead: number) {
    super();
    this.heads = Array.from({ length: nHead }, () => new Head(C, C / nHead));
    this.proj = new nn.Linear(C, C);
  }

  forward(x: Tensor): Tensor {
    const brought = this.heads.map((head) => head.forward(x)); // nHead times (B, T, C / nHead)
    return this.proj.forward(cat(brought, { dim: -1 })); // (B, T, C)
  }
}

export async function lesson() {
  manualSeed(1337);
  const { name, text } = await loadCorpus();
  const { tokenizer, train, val } = tokensOf(text);
  const sa = new MultiHeadAttention(32, 4);
  const model = new LanguageModel(tokenizer.vocabSize, 32, blockSize, sa);

  // One head of 32 has three matrices of 32 x 32. Four heads of 8 have twelve of 32 x 8: as many
  // numbers. The mixing layer comes on top; without it head 1 could never be set off against 2.
  const one = parameterCount(new Head(32, 32));
  const four = sa.heads.reduce((sum, head) => sum + parameterCount(head), 0);
  console.log(`one head of 32: ${one} weights; four heads of 8: ${four}`);
  console.log(`and the layer that mixes them: ${parameterCount(sa.proj)}\n`);

  fit(model, train, { ...budget, lr: 0.03 });
  const loss = lossOn(model, val, 256);
  console.log(`the loss of four heads: ${loss.toFixed(3)}`);

  // Where do they look? For each head, the mean share that goes to the token itself, to the one
  // before, and so on.
  const starts = Array.from({ length: 64 }, (_, i) => Math.floor((i * (val.length - 17)) / 64));
  const [x, y] = pieces(val, starts, blockSize);
  const embedded = noGrad(() => model.embed(x));
  const shares = sa.heads.map((head) => {
    const weights = noGrad(() => head.weights(embedded).toArray()) as number[][][];
    const last = weights.map((sequence) => sequence[blockSize - 1]); // (64, T)
    return Array.from({ length: 8 }, (_, back) => {
      const taken = last.map((row) => row[blockSize - 1 - back]);
      return taken.reduce((sum, w) => sum + w, 0) / taken.length;
    });
  });
  const options = {
    title: "what share goes how many tokens back",
    rows: shares.map((_, i) => `head ${i + 1}`),
    columns: Array.from({ length: 8 }, (_, back) => String(back)),
    marks: shares.map((row) => row.map((share) => share.toFixed(2).slice(1))),
  };
  show(heatmap(shares, options), "lesson-07");

  // And what is each worth? Silence one, and see by how much the loss rises.
  const brought = noGrad(() => sa.heads.map((head) => head.forward(embedded)));
  const lossWith = (parts: Tensor[]) =>
    noGrad(() => {
      const mixed = sa.proj.forward(cat(parts, { dim: -1 }));
      return crossEntropy(model.lm_head.forward(mixed), y).item();
    });
  const whole = lossWith(brought);
  const worth = brought.map((silent) => {
    const rest = brought.map((part) => (part === silent ? part.mul(0) : part));
    return lossWith(rest) - whole;
  });
  for (const [i, more] of worth.entries())
    console.log(`without head ${i + 1} the loss is ${more.toFixed(2)} higher`);
  addLoss(name, "heads", { lesson: 7, loss, parameters: parameterCount(model) });

  console.log(`
Exercises
1. Take 2 heads of 16, and 16 heads of 2. Where does a head become too narrow to ask anything?
2. Leave proj out. How much does the loss rise, and why does lm_head not make up for all of it?
3. Silence two heads at once. Is the loss higher by the sum of the two?`);
  return { one, four, loss, shares, worth };
}
