// The interface of all language models, which training and generation use.

import type { Module } from "../nn/index.ts";
import type { Tensor } from "../tensor/tensor.ts";

/**
 * The type of what forward() of a model returns: logits unless the option `logits` is false, and a
 * loss if there are targets.
 */
export interface ForwardResult<T extends Tensor | null | undefined, L extends boolean> {
  /** [B, T, V]. */
  logits: L extends true ? Tensor : null;
  /** The mean cross-entropy []. */
  loss: T extends Tensor ? Tensor : null;
}

/** A model that train() and generate() accept: token ids in, logits of the next token out. */
export interface LanguageModel extends Module {
  /** The number of token ids, and the most tokens of a sequence. */
  readonly config: { vocabSize: number; blockSize: number };
  /** idx, targets [B, T] of i32 -> logits [B, T, V] and loss []; each is null if not computed. */
  forward(
    idx: Tensor,
    targets?: Tensor | null,
    options?: { logits?: boolean },
  ): { logits: Tensor | null; loss: Tensor | null };
}

/** Returns the number of elements of a model's weights; a shared weight counts once. */
export function countParameters(model: Module): number {
  let count = 0;
  for (const weight of model.parameters()) count += weight.size;
  for (const weight of model.buffers()) count += weight.size; // quantized weights
  return count;
}
