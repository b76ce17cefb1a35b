// Helpers for the lessons that train: tokens, batches, a minimal training loop, the validation loss
// and sampling. Lesson 4 explains each of them. tinyGPT() is the model of lessons 12 to 16.

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

/** The token ids of a text: the first 90% to train on, the rest for validation. */
export interface Tokens {
  tokenizer: CharTokenizer;
  train: Int32Array;
  val: Int32Array;
}

export function tokenize(text: string, tokenizer = CharTokenizer.train(text)): Tokens {
  const ids = Int32Array.from(tokenizer.encode(text));
  const split = Math.floor(0.9 * ids.length);
  return { tokenizer, train: ids.subarray(0, split), val: ids.subarray(split) };
}

/** A language model: logits (B, T, V) of ids (B, T), and the loss if targets are passed. */
export interface Trainable extends nn.Module {
  readonly config: { readonly blockSize: number };
  forward(x: Tensor, y?: Tensor | null): { logits: Tensor | null; loss: Tensor | null };
}

/**
 * The training budget of all models in lessons 4 to 9, so that they differ only in architecture.
 * Each uses its best learning rate out of 0.01, 0.02, 0.03 and 0.1. Half as many steps would be too
 * few for lesson 8: its model has more to learn and would not beat lesson 7's yet.
 */
export const budget = { steps: 1000, batchSize: 16 };

/** The context length of the models in lessons 4 to 9. */
export const blockSize = 16;

/**
 * A GPT with about 30,000 parameters and a context of 32 tokens. Its head is not tied to the
 * embedding: within a few hundred steps, two small matrices learn more than a shared one.
 */
export function tinyGPT(vocabSize: number, options: Partial<GPTOptions> = {}): GPT {
  const sizes = { blockSize: 32, nLayer: 2, nHead: 4, nEmbd: 32 };
  return new GPT({ vocabSize, ...sizes, tieWeights: false, ...options });
}

/** Returns inputs x and targets y, both (B, T): the blocks at `starts`, and y one token later. */
export function getBlocks(ids: Int32Array, starts: ArrayLike<number>, T: number): [Tensor, Tensor] {
  const blocksAt = (offset: number) => {
    const rows = Array.from(starts, (start) => [
      ...ids.subarray(start + offset, start + offset + T),
    ]);
    return tensor(rows, { dtype: "i32" }); // (B, T)
  };
  return [blocksAt(0), blocksAt(1)];
}

/** Returns B random blocks of T tokens as inputs and targets, both (B, T). */
export function getBatch(ids: Int32Array, B: number, T: number): [Tensor, Tensor] {
  const starts = rand([B])
    .data()
    .map((u) => Math.floor(u * (ids.length - T)));
  return getBlocks(ids, starts, T);
}

/**
 * Trains with AdamW on random batches; the learning rate decays linearly from `lr` to 0. Returns
 * the training loss as the points of a curve, each the mean of 25 steps.
 */
export function fit(
  model: Trainable,
  ids: Int32Array,
  { steps, lr, batchSize = 16 }: { steps: number; lr: number; batchSize?: number },
): [step: number, loss: number][] {
  const T = model.config.blockSize;
  const trainable = [...model.parameters()].filter((parameter) => parameter.requiresGrad);
  const optimizer = new optim.AdamW(trainable, { lr });
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    optimizer.lr = lr * (1 - step / steps);
    const [x, y] = getBatch(ids, batchSize, T);
    const loss = model.forward(x, y).loss as Tensor;
    loss.backward();
    optimizer.step();
    optimizer.zeroGrad();
    losses.push(loss.item());
  }
  const mean = (values: number[]) => values.reduce((sum, loss) => sum + loss, 0) / values.length;
  return Array.from({ length: Math.floor(steps / 25) }, (_, i) => [
    25 * (i + 1),
    mean(losses.slice(25 * i, 25 * (i + 1))),
  ]);
}

/** Returns the mean loss over `count` evenly spaced blocks, which are the same in every call. */
export function estimateLoss(model: Trainable, ids: Int32Array, count = 64): number {
  const T = model.config.blockSize;
  const starts = Array.from({ length: count }, (_, i) =>
    Math.floor((i * (ids.length - T - 1)) / count),
  );
  const [x, y] = getBlocks(ids, starts, T);
  model.eval();
  const loss = scope(() => noGrad(() => model.forward(x, y).loss?.item()));
  model.train();
  return loss as number;
}

/** Generates `count` characters: samples the next one, appends it, and repeats. */
export function generateText(model: Trainable, tokenizer: CharTokenizer, count: number): string {
  const ids = tokenizer.encode("\n");
  model.eval();
  for (let i = 0; i < count; i++) {
    const x = tensor([ids.slice(-model.config.blockSize)], { dtype: "i32" }); // (1, T)
    const logits = noGrad(() => model.forward(x).logits) as Tensor; // (1, T, V)
    const probabilities = logits.slice({ dim: 1, start: -1 }).softmax({ dim: -1 }); // (1, 1, V)
    ids.push(multinomial(probabilities.reshape([logits.shape[2]]), 1).item());
  }
  model.train();
  return tokenizer.decode(ids.slice(1));
}

/** Returns the number of elements of all trainable parameters. */
export function countParameters(model: nn.Module): number {
  const trainable = [...model.parameters()].filter((parameter) => parameter.requiresGrad);
  return trainable.reduce((sum, parameter) => sum + parameter.size, 0);
}
