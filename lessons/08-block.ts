// Lesson 8: Communication, then computation
//
// Attention moves information between tokens, but it hardly processes it: its output is a weighted
// average. The processing happens in a small network that is applied to each token separately,
// wider than the embedding and with a nonlinearity in the middle. Attention and this feed-forward
// network together are a transformer block.
//
// Time: 5 seconds.

import { loadCorpus, manualSeed, nn, noGrad, randn, type Tensor, tensor } from "tinybard";
import { LanguageModel } from "./06-head.ts";
import { MultiHeadAttention } from "./07-heads.ts";
import { show } from "./figure.ts";
import { heatmap } from "./heatmap.ts";
import { addLoss } from "./loss-table.ts";
import { say } from "./print.ts";
import { blockSize, budget, countParameters, estimateLoss, fit, tokenize } from "./training.ts";

/** W2 relu(W1 x + b1) + b2 for each token separately; the hidden layer is four times as wide. */
export class FeedForward extends nn.Module {
  readonly fc: nn.Linear;
  readonly proj: nn.Linear;

  constructor(nEmbd: number) {
    super();
    this.fc = new nn.Linear(nEmbd, 4 * nEmbd);
    this.proj = new nn.Linear(4 * nEmbd, nEmbd);
  }

  forward(x: Tensor): Tensor {
    const hidden = this.fc.forward(x).relu(); // (B, T, 4C)
    return this.proj.forward(hidden); // (B, T, C)
  }
}

/** A transformer block: communication between tokens, then computation on each token. */
export class Block extends nn.Module {
  readonly sa: MultiHeadAttention;
  readonly ffwd: FeedForward;

  constructor(nEmbd: number, nHead: number) {
    super();
    this.sa = new MultiHeadAttention(nEmbd, nHead);
    this.ffwd = new FeedForward(nEmbd);
  }

  forward(x: Tensor): Tensor {
    return this.ffwd.forward(this.sa.forward(x)); // (B, T, C)
  }
}

/** Returns the change of a layer's output at each token if token `at` of x (1, T, C) changes. */
function measureInfluence(layer: { forward(x: Tensor): Tensor }, x: Tensor, at: number): number[] {
  const values = x.toArray() as number[][][];
  values[0][at] = values[0][at].map((value) => value + 1);
  const changed = tensor(values); // (1, T, C)
  const differences = noGrad(() => layer.forward(changed).sub(layer.forward(x)).abs());
  const largest = differences.max({ dim: -1 }); // (1, T)
  return (largest.toArray() as number[][])[0];
}

export async function lesson() {
  manualSeed(1337);

  say(`Which tokens does token 3 influence? Through attention, itself and all later tokens; through
    the feed-forward network, only itself.`);
  const block = new Block(32, 4);
  const x = randn([1, 8, 32]);
  const influence = [measureInfluence(block.sa, x, 3), measureInfluence(block.ffwd, x, 3)];
  const figure = heatmap(influence, {
    title: "change in each token's output after token 3 changes",
    rowLabels: ["attention", "feed-forward"],
    columnLabels: Array.from({ length: 8 }, (_, t) => String(t)),
  });
  show(figure, "lesson-08");

  manualSeed(1337);
  const { name, text } = await loadCorpus();
  const { tokenizer, train, val } = tokenize(text);
  const trainBlocks = (count: number, steps: number, lr: number) => {
    const blocks = Array.from({ length: count }, () => new Block(32, 4));
    const model = new LanguageModel(tokenizer.vocabSize, 32, blockSize, ...blocks);
    fit(model, train, { ...budget, steps, lr });
    return { loss: estimateLoss(model, val, 256), parameters: countParameters(model) };
  };
  const { loss, parameters } = trainBlocks(1, budget.steps, 0.02);
  console.log(`loss of one block: ${loss.toFixed(3)}, with ${parameters} parameters`);

  say(`If one block is good, three should be better, but they are far worse. Information about a
    token must pass through six layers, three of which average it with other tokens, and its
    gradient takes the same path back. Three blocks learn little more than how frequent each
    character is, and twice as many steps do not help. Lesson 9 fixes this.`);
  const deep = trainBlocks(3, 500, 0.01);
  console.log(`loss of three stacked blocks: ${deep.loss.toFixed(3)}`);
  addLoss(name, "+ feed-forward", { lesson: 8, loss, parameters });

  console.log(`
Exercises
1. Remove the relu. Two linear layers in a row are equivalent to one: what is the loss?
2. Where are the parameters of a block? Count those of sa and ffwd for nEmbd 32 and 64.
3. Print the mean absolute gradient of token_embedding_table.weight after one step, for 1 and 3
   blocks.`);
  return { influence, loss, deepLoss: deep.loss };
}
