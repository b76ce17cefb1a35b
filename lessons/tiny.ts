// What the lessons that train share, so that each can begin where it has something to tell: a text
// as tokens, batches of it, a plain training loop, the loss on text that was not trained on, and
// text that a model writes. Lesson 4 explains all of it. From lesson 11 on there is a tiny GPT too.

import {
  CharTokenizer,
  GPT,
  type GPTOptions,
  multinomial,
  type nn,
  noGrad,
  optim,
  rand,
  scope,
  type Tensor,
  tensor,
} from "tinybard";

/** The tokens of a text: nine tenths to learn from, and the rest. */
export interface Tokens {
  tokenizer: CharTokenizer;
  train: Int32Array;
  val: Int32Array;
}

export function tokensOf(text: string, tokenizer = CharTokenizer.train(text)): Tokens {
  const ids = Int32Array.from(tokenizer.encode(text));
  const cut = Math.floor(0.9 * ids.length);
  return { tokenizer, train: ids.subarray(0, cut), val: ids.subarray(cut) };
}

/** What can be trained here: logits of ids (B, T), and a loss where the next ids are given. */
export interface Trainable extends nn.Module {
  readonly config: { readonly blockSize: number };
  forward(x: Tensor, y?: Tensor | null): { logits: Tensor | null; loss: Tensor | null };
}

/**
 * The models of lessons 4 to 9 are all trained so, and differ in their parts alone. The rate is
 * each one's best among 0.01, 0.02, 0.03 and 0.1. Half as many steps are too few for lesson 8: its
 * model has more to learn, and would not yet be ahead of lesson 7's.
 */
export const budget = { steps: 1000, batchSize: 16 };

/** How many tokens they look at. */
export const blockSize = 16;

/**
 * A GPT of some 30,000 parameters that looks back at 32 tokens. Its head is not tied to the
 * embedding: in a few hundred steps two small matrices get further than a shared one.
 */
export function tinyGPT(vocabSize: number, options: Partial<GPTOptions> = {}): GPT {
  const sizes = { blockSize: 32, nLayer: 2, nHead: 4, nEmbd: 32 };
  return new GPT({ vocabSize, ...sizes, tieWeights: false, ...options });
}

/** The pieces of T tokens that begin at `starts`, and the same a token later: x, y (B, T). */
export function pieces(ids: Int32Array, starts: ArrayLike<number>, T: number): [Tensor, Tensor] {
  const from = (shift: number) => {
    const rows = Array.from(starts, (start) => [...ids.subarray(start + shift, start + shift + T)]);
    return tensor(rows, { dtype: "i32" });
  };
  return [from(0), from(1)];
}

/** B pieces of T tokens from random places. */
export function batchOf(ids: Int32Array, B: number, T: number): [Tensor, Tensor] {
  const starts = rand([B])
    .data()
    .map((u) => Math.floor(u * (ids.length - T)));
  return pieces(ids, starts, T);
}

/**
 * Trains with AdamW on pieces drawn at random; the rate falls from `lr` to 0 in a line. Gives the
 * losses as points of a curve, each the mean of 25 steps.
 */
export function fit(
  model: Trainable,
  ids: Int32Array,
  { steps, lr, batchSize = 16 }: { steps: number; lr: number; batchSize?: number },
): [step: number, loss: number][] {
  const T = model.config.blockSize;
  const trained = [...model.parameters()].filter((w) => w.requiresGrad);
  const optimizer = new optim.AdamW(trained, { lr });
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    optimizer.lr = lr * (1 - step / steps);
    const loss = model.forward(...batchOf(ids, batchSize, T)).loss as Tensor;
    loss.backward();
    optimizer.step();
    optimizer.zeroGrad();
    losses.push(loss.item());
  }
  const mean = (part: number[]) => part.reduce((sum, loss) => sum + loss, 0) / part.length;
  return Array.from({ length: Math.floor(steps / 25) }, (_, i) => [
    25 * (i + 1),
    mean(losses.slice(25 * i, 25 * (i + 1))),
  ]);
}

/** The mean loss over `count` pieces that lie evenly over the tokens: no chance in it. */
export function lossOn(model: Trainable, ids: Int32Array, count = 64): number {
  const T = model.config.blockSize;
  const starts = Array.from({ length: count }, (_, i) =>
    Math.floor((i * (ids.length - T - 1)) / count),
  );
  model.eval();
  const loss = scope(() => noGrad(() => model.forward(...pieces(ids, starts, T)).loss?.item()));
  model.train();
  return loss as number;
}

/** Draws a character from what the model says, appends it, and asks again. */
export function write(model: Trainable, tokenizer: CharTokenizer, count: number): string {
  const ids = tokenizer.encode("\n");
  model.eval();
  for (let i = 0; i < count; i++) {
    const x = tensor([ids.slice(-model.config.blockSize)], { dtype: "i32" });
    const logits = noGrad(() => model.forward(x).logits) as Tensor; // (1, T, V)
    const last = logits.slice({ dim: 1, start: -1 }).softmax({ dim: -1 }); // (1, 1, V)
    ids.push(multinomial(last.reshape([logits.shape[2]]), 1).item());
  }
  model.train();
  return tokenizer.decode(ids.slice(1));
}

/** The number of numbers that training changes. */
export function parameterCount(model: nn.Module): number {
  return [...model.parameters()].reduce((sum, w) => sum + (w.requiresGrad ? w.size : 0), 0);
}
