// Lesson 9: Residual connections, layer normalization, dropout
//
// Three stacked blocks learned almost nothing in lesson 8. Three small changes make deep stacks
// trainable: a block adds to its input instead of replacing it, each layer reads its input at the
// same scale, and no layer can rely on a single activation. We measure each change separately: the
// first lets a stack learn at all, the second makes training less sensitive to the learning rate,
// and the third pays off when there is little text.
//
// Time: 8 seconds.

import { loadCorpus, manualSeed, nn, type Tensor } from "tinybard";
import { LanguageModel, type Layer } from "./06-head.ts";
import { MultiHeadAttention } from "./07-heads.ts";
import { Block, FeedForward } from "./08-block.ts";
import { show } from "./figure.ts";
import { lineChart } from "./line-chart.ts";
import { addLoss } from "./loss-table.ts";
import { say } from "./print.ts";
import {
  blockSize,
  budget,
  countParameters,
  estimateLoss,
  fit,
  getBatch,
  tokenize,
} from "./training.ts";

/** A block with residual connections: each layer adds its output to its input. He et al. (2015). */
export class ResidualBlock extends Block {
  override forward(x: Tensor): Tensor {
    x = x.add(this.sa.forward(x)); // (B, T, C)
    return x.add(this.ffwd.forward(x)); // (B, T, C)
  }
}

/**
 * A residual block whose layers read a normalized input, with mean 0 and variance 1 over the C
 * channels of each token (Ba et al., 2016). During training, dropout zeroes a fraction `p` of what
 * the layers add (Srivastava et al., 2014).
 */
export class NormalizedBlock extends nn.Module {
  readonly ln1: nn.LayerNorm;
  readonly sa: MultiHeadAttention;
  readonly ln2: nn.LayerNorm;
  readonly ffwd: FeedForward;
  readonly dropout: nn.Dropout;

  constructor(nEmbd: number, nHead: number, p = 0) {
    super();
    this.ln1 = new nn.LayerNorm(nEmbd);
    this.sa = new MultiHeadAttention(nEmbd, nHead);
    this.ln2 = new nn.LayerNorm(nEmbd);
    this.ffwd = new FeedForward(nEmbd);
    this.dropout = new nn.Dropout(p);
  }

  forward(x: Tensor): Tensor {
    x = x.add(this.dropout.forward(this.sa.forward(this.ln1.forward(x)))); // (B, T, C)
    return x.add(this.dropout.forward(this.ffwd.forward(this.ln2.forward(x)))); // (B, T, C)
  }
}

/** Returns the root mean square of each row of a matrix, averaged over the rows. */
function rms(matrix: Tensor): number {
  return matrix.pow(2).mean({ dim: -1 }).sqrt().mean().item();
}

export async function lesson() {
  manualSeed(1337);
  const { name, text } = await loadCorpus();
  const { tokenizer, train, val } = tokenize(text);
  const createModel = (...layers: Layer[]) =>
    new LanguageModel(tokenizer.vocabSize, 32, blockSize, ...layers);
  const trainModel = (model: LanguageModel, steps: number, lr: number) => {
    fit(model, train, { ...budget, steps, lr });
    return estimateLoss(model, val, 256);
  };
  const residualBlock = () => new ResidualBlock(32, 4);
  const normalizedBlock = (p = 0) => new NormalizedBlock(32, 4, p);

  say(`How large is the gradient in each of six untrained blocks? Plain blocks shrink it layer by
    layer, so that almost nothing reaches the first one. With y = x + f(x) the derivative is 1 +
    f'(x), and the 1 passes the gradient back unchanged, whatever f does.`);
  const [x, y] = getBatch(train, budget.batchSize, blockSize);
  const gradientByBlock = (createBlock: () => Layer & { ffwd: FeedForward }) => {
    const blocks = Array.from({ length: 6 }, createBlock);
    createModel(...blocks)
      .forward(x, y)
      .loss?.backward();
    return blocks.map(({ ffwd }, i) => [i + 1, rms(ffwd.fc.weight.grad as Tensor)] as const);
  };
  const curves = [
    { name: "plain", points: gradientByBlock(() => new Block(32, 4)) },
    { name: "residual", points: gradientByBlock(residualBlock) },
    { name: "normalized", points: gradientByBlock(() => normalizedBlock()) },
  ];
  const title = "gradient of each block, from the first to the last";
  show(lineChart(curves, { title, xLabel: "block", logY: true }), "lesson-09");

  say(`So a stack of residual blocks learns, and a single block does better than in lesson 8.`);
  const stack = createModel(residualBlock(), residualBlock(), residualBlock());
  const stackLoss = trainModel(stack, 250, 0.01);
  console.log(`loss of three residual blocks after only 250 steps: ${stackLoss.toFixed(3)}`);
  const residual = createModel(residualBlock());
  const residualLoss = trainModel(residual, budget.steps, 0.02);
  console.log(`loss of one residual block: ${residualLoss.toFixed(3)}`);
  const residualParameters = countParameters(residual);
  addLoss(name, "+ residual", { lesson: 9, loss: residualLoss, parameters: residualParameters });

  say(`What does normalization add? If each model uses its best learning rate, only 0.01 in the loss
    (the mean of six seeds on two texts). The seed alone changes the loss by twice as much, so most
    of the improvement in the row below is chance, and other seeds show the opposite. But normally
    the best learning rate is unknown. Layers that read inputs with variance 1 learn sooner when the
    rate is too small and suffer less when it is too large. In between, at 0.03, they gain
    nothing.`);
  const normalized = createModel(normalizedBlock());
  const normalizedLoss = trainModel(normalized, budget.steps, 0.01);
  console.log(`loss of one normalized block: ${normalizedLoss.toFixed(3)}`);
  addLoss(name, "+ normalization", {
    lesson: 9,
    loss: normalizedLoss,
    parameters: countParameters(normalized),
  });
  const rates = [0.003, 0.01, 0.03, 0.1];
  const lossByRate = (createBlock: () => Layer) =>
    rates.map((lr) => {
      manualSeed(1337);
      return trainModel(createModel(createBlock()), 100, lr);
    });
  const byRate = {
    residual: lossByRate(residualBlock),
    normalized: lossByRate(() => normalizedBlock()),
  };
  const rateCurves = Object.entries(byRate).map(([name, losses]) => ({
    name,
    points: losses.map((loss, i) => [rates[i], loss] as const),
  }));
  const rateTitle = "loss after 100 steps by learning rate";
  show(
    lineChart(rateCurves, { title: rateTitle, xLabel: "learning rate", logX: true }),
    "lesson-09-rates",
  );

  say(`Dropout zeroes a random fifth of each layer's output in every step. This only hurts a model
    that always sees new text. A model that sees the same text again and again memorizes it, and
    what it memorizes depends on few activations. Dropout makes that a little harder.`);
  const dropout = [train.subarray(0, 2000), train].map((ids) =>
    [0, 0.2].map((p) => {
      manualSeed(1337);
      const model = createModel(normalizedBlock(p));
      fit(model, ids, { ...budget, steps: 200, lr: 0.01 });
      return { trainLoss: estimateLoss(model, ids, 256), valLoss: estimateLoss(model, val, 256) };
    }),
  );
  console.log("after 200 steps on                training loss   validation loss");
  for (const [i, corpus] of ["2000 characters", "all characters"].entries()) {
    for (const [j, rate] of ["no dropout", "dropout 0.2"].entries()) {
      const { trainLoss, valLoss } = dropout[i][j];
      const label = `${corpus}, ${rate}`.padEnd(34);
      console.log(label + trainLoss.toFixed(3).padStart(13) + valLoss.toFixed(3).padStart(18));
    }
  }

  console.log(`
Exercises
1. Normalize after the sum, ln(x + sa(x)), as in the original transformer. Does one block learn
   better? Do six?
2. Train 1, 2 and 4 residual blocks. When is another block no longer worth its time?
3. Train on the 2000 characters for 500 steps and plot both losses. When would you stop?`);
  const gradientRatios = curves.map(({ points }) => points[5][1] / points[0][1]);
  return { gradientRatios, stackLoss, residualLoss, normalizedLoss, byRate, dropout };
}
