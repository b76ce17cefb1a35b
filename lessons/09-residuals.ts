// Lesson 9: Residuals, layer normalization, dropout
//
// Three blocks, one upon the other, learned nothing in lesson 8. Three small changes make such
// stacks trainable: a block adds to what it reads instead of replacing it, it reads all at the same
// scale, and it may not rely on any single number. Each is measured by itself: one lets a stack
// learn at all, one makes training less touchy, and one is worth its price where text is short.

import { loadCorpus, manualSeed, nn, type Tensor } from "tinybard";
import { LanguageModel, type Part } from "./06-head.ts";
import { MultiHeadAttention } from "./07-heads.ts";
import { Block, FeedForward } from "./08-block.ts";
import { addLoss } from "./losses.ts";
import { chart, show } from "./picture.ts";
import { batchOf, blockSize, budget, fit, lossOn, parameterCount, tokensOf } from "./tiny.ts";

/** What comes in goes on as it is, and each part adds its own to it.  He et al. (2015) */
export class ResidualBlock extends Block {
  override forward(x: Tensor): Tensor {
    const y = x.add(this.sa.forward(x)); // (B, T, C)
    return y.add(this.ffwd.forward(y));
  }
}

/**
 * The same, but each part reads the stream with every token's C numbers at mean 0 and variance 1
 * (Ba et al., 2016), and while training a share `p` of what it adds is dropped (Srivastava et al.,
 * 2014).
 */
export class NormalizedBlock extends nn.Module {
  readonly ln1: nn.LayerNorm;
  readonly sa: MultiHeadAttention;
  readonly ln2: nn.LayerNorm;
  readonly ffwd: FeedForward;
  readonly dropout: nn.Dropout;

  constructor(C: number, nHead: number, p = 0) {
    super();
    this.ln1 = new nn.LayerNorm(C);
    this.sa = new MultiHeadAttention(C, nHead);
    this.ln2 = new nn.LayerNorm(C);
    this.ffwd = new FeedForward(C);
    this.dropout = new nn.Dropout(p);
  }

  forward(x: Tensor): Tensor {
    const y = x.add(this.dropout.forward(this.sa.forward(this.ln1.forward(x)))); // (B, T, C)
    return y.add(this.dropout.forward(this.ffwd.forward(this.ln2.forward(y))));
  }
}

/** The root mean square of each token's numbers, the mean over tokens. */
function scaleOf(x: Tensor): number {
  return x.pow(2).mean({ dim: -1 }).sqrt().mean().item();
}

export async function lesson() {
  manualSeed(1337);
  const { name, text } = await loadCorpus();
  const { tokenizer, train, val } = tokensOf(text);
  const modelOf = (...body: Part[]) =>
    new LanguageModel(tokenizer.vocabSize, 32, blockSize, ...body);
  const list = <B>(count: number, block: () => B) => Array.from({ length: count }, block);

  // How far does a gradient come? Six blocks of each kind, untrained, and the gradient at each one.
  // Every layer of the first kind shrinks it: the lowest block is told nothing of its faults. With
  // y = x + f(x) the slope is 1 + f'(x), and the 1 hands the gradient down whatever f does.
  const batch = batchOf(train, budget.batchSize, blockSize);
  const gradients = (block: () => Part & { ffwd: FeedForward }) => {
    const body = list(6, block);
    modelOf(...body)
      .forward(...batch)
      .loss?.backward();
    return body.map(({ ffwd }, i) => [i + 1, scaleOf(ffwd.up.weight.grad as Tensor)] as const);
  };
  const curves = [
    { name: "plain", points: gradients(() => new Block(32, 4)) },
    { name: "residual", points: gradients(() => new ResidualBlock(32, 4)) },
    { name: "normalized", points: gradients(() => new NormalizedBlock(32, 4)) },
  ];
  const title = "size of the gradient, from the lowest block to the highest";
  show(chart(curves, { title, x: "block", logY: true }), "lesson-09");

  // So a stack learns, where in lesson 8 it did not, and one block does better than it did.
  const trained = (body: Part[], { steps, lr }: { steps: number; lr: number }) => {
    const model = modelOf(...body);
    fit(model, train, { ...budget, steps, lr });
    return { model, loss: lossOn(model, val, 256) };
  };
  const residual = () => new ResidualBlock(32, 4);
  const stack = trained(list(3, residual), { steps: 250, lr: 0.01 }).loss;
  console.log(`three blocks with residuals, after a mere 250 steps: ${stack.toFixed(3)}`);
  const one = trained([residual()], { ...budget, lr: 0.02 });
  console.log(`one block with residuals: ${one.loss.toFixed(3)}`);
  addLoss(name, "+ residual", { lesson: 9, loss: one.loss, parameters: parameterCount(one.model) });

  // What does normalization buy? At each kind's best rate a hundredth of the loss, the mean of six
  // seeds on two texts. Another seed alone changes twice that: most of what the row below falls
  // is chance, and other seeds show a rise. But who knows the best rate? A part that reads numbers
  // of variance 1, whatever the stream has grown to, learns sooner where steps are small, and is
  // upset less where they are too large; between, at 0.03, it gains nothing.
  const normalized = (p = 0) => new NormalizedBlock(32, 4, p);
  const normal = trained([normalized()], { ...budget, lr: 0.01 });
  console.log(`\none block with normalization: ${normal.loss.toFixed(3)}`);
  const row = { lesson: 9, loss: normal.loss, parameters: parameterCount(normal.model) };
  addLoss(name, "+ normalization", row);
  const rates = [0.003, 0.01, 0.03, 0.1];
  const lossesAt = (block: () => Part) =>
    rates.map((lr) => {
      manualSeed(1337);
      return trained([block()], { steps: 100, lr }).loss;
    });
  const byRate = { residual: lossesAt(residual), normalized: lossesAt(normalized) };
  const kinds = Object.entries(byRate).map(([name, losses]) => ({
    name,
    points: losses.map((loss, i) => [rates[i], loss] as const),
  }));
  const rateTitle = "loss after 100 steps, by learning rate";
  show(chart(kinds, { title: rateTitle, x: "rate", logX: true }), "lesson-09-rates");

  // Dropout silences a fifth of what a part says, another fifth each time. A model that reads ever
  // new text only loses by that. One that reads the same page over and over learns it by heart, and
  // what it knows by heart hangs on few numbers; dropout keeps it from that, a little.
  const few = train.subarray(0, 2000);
  const dropout = [few, train].map((ids) =>
    [0, 0.2].map((p) => {
      manualSeed(1337);
      const model = modelOf(normalized(p));
      fit(model, ids, { ...budget, steps: 200, lr: 0.01 });
      return { known: lossOn(model, ids, 256), unknown: lossOn(model, val, 256) };
    }),
  );
  console.log("after 200 steps             loss on what it learned from   on other text");
  for (const [i, pair] of dropout.entries())
    for (const [j, { known, unknown }] of pair.entries()) {
      const label = `${i ? "all characters " : "2000 characters"}, ${j ? "dropout" : "without"}`;
      console.log(
        `${label.padEnd(28)}${known.toFixed(3).padStart(28)}${unknown.toFixed(3).padStart(16)}`,
      );
    }

  console.log(`
Exercises
1. Normalize behind the sum, ln(x + sa(x)), as Vaswani et al. did. Does it learn one block better?
   And six?
2. Train 1, 2 and 4 residual blocks. When does the next one cost more time than it is worth?
3. Train on the 2000 characters for 1000 steps, and draw both losses: when would you stop?`);
  const steepness = curves.map(({ points }) => points[5][1] / points[0][1]);
  return { steepness, stack, residual: one.loss, normalized: normal.loss, byRate, dropout };
}
