// The bigram model: the logits of the next token are a row of a table, chosen by the current token.

import { checkCount, checkOptions } from "../errors.ts";
import { Embedding, Module } from "../nn/index.ts";
import { crossEntropy } from "../ops/loss.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { ForwardResult, LanguageModel } from "./language-model.ts";

/**
 * A lookup table: predicts the next token from the current one alone.
 * @example
 * const model = new BigramLanguageModel(65);
 * const { logits } = model.forward(tensor([[1, 2, 3]], { dtype: "i32" }));
 * console.log(logits.shape); // [ 1, 3, 65 ]
 */
export class BigramLanguageModel extends Module implements LanguageModel {
  readonly config: { vocabSize: number; blockSize: number };
  /** The logits of the next token [V, V], a row for each token. */
  readonly token_embedding_table: Embedding;

  /** blockSize is the length of training sequences; the model itself reads one token. */
  constructor(vocabSize: number, blockSize = 8) {
    super();
    checkCount("BigramLanguageModel", "vocabSize", vocabSize);
    checkCount("BigramLanguageModel", "blockSize", blockSize);
    this.config = { vocabSize, blockSize };
    this.token_embedding_table = new Embedding(vocabSize, vocabSize);
  }

  /** idx, targets [B, T] of i32 -> logits [B, T, V], loss []. */
  forward<T extends Tensor | null | undefined = undefined, L extends boolean = true>(
    idx: Tensor,
    targets?: T,
    options: { logits?: L } = {},
  ): ForwardResult<T, L> {
    checkOptions("forward", options, ["logits"]);
    const logits = this.token_embedding_table.forward(idx); // (B, T, V)
    const loss = targets ? crossEntropy(logits, targets) : null;
    return { logits: options.logits === false ? null : logits, loss } as ForwardResult<T, L>;
  }
}
