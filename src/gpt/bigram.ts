// The simplest language model: the next token depends on this one alone, by a table of logits.

import { checkOptions } from "../errors.ts";
import { Embedding, Module } from "../nn/index.ts";
import { crossEntropy } from "../ops/loss.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** What training and generation need of a model. */
export interface LanguageModel extends Module {
  readonly config: { vocabSize: number; blockSize: number };
  forward(
    idx: Tensor,
    targets?: Tensor | null,
    options?: { logits?: boolean },
  ): { logits: Tensor | null; loss: Tensor | null };
}

export class BigramLanguageModel extends Module implements LanguageModel {
  readonly config: { vocabSize: number; blockSize: number };
  readonly token_embedding_table: Embedding;

  /** blockSize is how many tokens a training example has; the model itself looks at one. */
  constructor(vocabSize: number, blockSize = 8) {
    super();
    this.config = { vocabSize, blockSize };
    this.token_embedding_table = new Embedding(vocabSize, vocabSize);
  }

  /** idx, targets [B, T] of i32; logits [B, T, V]; loss []. */
  forward(idx: Tensor, targets?: Tensor | null, options: { logits?: boolean } = {}) {
    checkOptions("forward", options, ["logits"]);
    const logits = this.token_embedding_table.forward(idx); // (B, T, V)
    const loss = targets ? crossEntropy(logits, targets) : null;
    return { logits: (options.logits ?? true) ? logits : null, loss };
  }
}
