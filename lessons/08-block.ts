// Lesson 8: Communication, then computation
//
// Attention carries things from token to token, and does little else: what it brings is an average.
// What is to be made of it, each token works out by itself, in a small network that is the same
// for all: wider than the stream, with a bend in the middle. The two together are a block.

import { loadCorpus, manualSeed, nn, noGrad, randn, type Tensor, tensor } from "tinybard";
import { LanguageModel } from "./06-head.ts";
import { MultiHeadAttention } from "./07-heads.ts";
import { addLoss } from "./losses.ts";
import { heatmap, show } from "./picture.ts";
import { blockSize, budget, fit, lossOn, parameterCount, tokensOf } from "./tiny.ts";

/** W2 relu(W1 x + b1) + b2, for each token alone; four times as wide inside. */
export class FeedForward extends nn.Module {
  readonly up: nn.Linear;
  readonly down: nn.Linear;

  constructor(C: number) {
    super();
    this.up = new nn.Linear(C, 4 * C);
    this.down = new nn.Linear(4 * C, C);
  }

  forward(x: Tensor): Tensor {
    return this.down.forward(this.up.forward(x).relu()); // (B, T, C) -> (B, T, 4C) -> (B, T, C)
  }
}

/** First the tokens talk, then each one thinks. */
export class Block extends nn.Module {
  readonly sa: MultiHeadAttention;
  readonly ffwd: FeedForward;

  constructor(C: number, nHead: number) {
    super();
    this.sa = new MultiHeadAttention(C, nHead);
    this.ffwd = new FeedForward(C);
  }

  forward(x: Tensor): Tensor {
    return this.ffwd.forward(this.sa.forward(x));
  }
}

/** By how much each token's result changes when token `at` of x (1, T, C) is another one. */
function reach(part: { forward(x: Tensor): Tensor }, x: Tensor, at: number): number[] {
  const changed = x.toArray() as number[][][];
  changed[0][at] = changed[0][at].map((value) => value + 1);
  const other = tensor(changed);
  const apart = noGrad(() => part.forward(other).sub(part.forward(x)).abs());
  return (apart.max({ dim: -1 }).toArray() as number[][])[0];
}

export async function lesson() {
  manualSeed(1337);
  // Who hears of token 3? Of attention all that come behind it; of the network nobody but itself.
  const example = new Block(32, 4);
  const x = randn([1, 8, 32]);
  const heard = [reach(example.sa, x, 3), reach(example.ffwd, x, 3)];
  const options = {
    title: "token 3 is changed: how far does each token's result move?",
    rows: ["attention", "feed-forward"],
    columns: Array.from({ length: 8 }, (_, t) => String(t)),
  };
  show(heatmap(heard, options), "lesson-08");

  manualSeed(1337);
  const { name, text } = await loadCorpus();
  const { tokenizer, train, val } = tokensOf(text);
  const trained = (blocks: number, { steps, lr }: { steps: number; lr: number }) => {
    const body = Array.from({ length: blocks }, () => new Block(32, 4));
    const model = new LanguageModel(tokenizer.vocabSize, 32, blockSize, ...body);
    fit(model, train, { ...budget, steps, lr });
    return { model, loss: lossOn(model, val, 256) };
  };
  const { model, loss } = trained(1, { ...budget, lr: 0.02 });
  console.log(
    `the loss of one block: ${loss.toFixed(3)}, with ${parameterCount(model)} parameters`,
  );

  // If one block is good, three should be better. They are far worse: what a token is has to pass
  // through six layers, each of which begins by mixing it up, and so has its gradient on the way
  // back. Three know little more than how frequent each character is, and twice the steps do not
  // help them. Lesson 9 does.
  const deep = trained(3, { steps: 500, lr: 0.01 });
  console.log(`the loss of three, one upon the other: ${deep.loss.toFixed(3)}`);
  addLoss(name, "+ feed-forward", { lesson: 8, loss, parameters: parameterCount(model) });

  console.log(`
Exercises
1. Leave relu out. Two layers in a row are then as good as one; what is the loss?
2. Where do the parameters of a block lie? Count those of sa and of ffwd for C = 32 and C = 64.
3. Print the mean size of token_embedding_table.weight.grad after one step, for 1 and 3 blocks.`);
  return { heard, loss, deep: deep.loss };
}
