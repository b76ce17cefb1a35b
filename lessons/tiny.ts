// What the last lessons share, so that each can begin where it has something to tell: a text as
// tokens, a tiny GPT, a plain training loop, and the loss on text that was not trained on.

import {
  CharTokenizer,
  GPT,
  type GPTOptions,
  type LanguageModel,
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

/** Trains with AdamW on pieces drawn at random; the rate falls from `lr` to 0 in a line. */
export function fit(
  model: LanguageModel,
  ids: Int32Array,
  { steps, lr, batchSize = 16 }: { steps: number; lr: number; batchSize?: number },
): void {
  const T = model.config.blockSize;
  const trained = [...model.parameters()].filter((w) => w.requiresGrad);
  const optimizer = new optim.AdamW(trained, { lr });
  for (let step = 0; step < steps; step++) {
    optimizer.lr = lr * (1 - step / steps);
    const starts = rand([batchSize])
      .data()
      .map((u) => Math.floor(u * (ids.length - T)));
    const { loss } = model.forward(...pieces(ids, starts, T));
    (loss as Tensor).backward();
    optimizer.step();
    optimizer.zeroGrad();
  }
}

/** The mean loss over `count` pieces that lie evenly over the tokens: no chance in it. */
export function lossOn(model: LanguageModel, ids: Int32Array, count = 64): number {
  const T = model.config.blockSize;
  const starts = Array.from({ length: count }, (_, i) =>
    Math.floor((i * (ids.length - T - 1)) / count),
  );
  model.eval();
  const loss = scope(() => noGrad(() => model.forward(...pieces(ids, starts, T)).loss?.item()));
  model.train();
  return loss as number;
}
