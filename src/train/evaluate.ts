// Evaluation: the losses of a model on both splits of a text, over batches from an RNG stream of
// its own.

import { platform } from "#platform";
import { noGrad } from "../autograd.ts";
import {
  countBytes,
  countCharacters,
  sampleBatch,
  splitText,
  toCounterTensor,
} from "../data/batches.ts";
import { tensor } from "../ops/creation.ts";
import type { EMA } from "../optim/index.ts";
import type { Run } from "../runs/run.ts";
import { keep, scope } from "../scope.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { TrainConfig } from "./config.ts";
import { getMatmulPrecision } from "./precision.ts";
import { ScalarBuffer } from "./scalar-buffer.ts";

/** The fields of a run that an evaluation uses. */
type Evaluated = Pick<Run, "device" | "model" | "tokens"> & {
  /** The average of the weights to evaluate instead of them. */
  ema?: EMA | null;
  config: Pick<
    TrainConfig,
    "evalIters" | "batchSize" | "blockSize" | "seed" | "dtype" | "matmulPrecision"
  >;
};

export interface Losses {
  trainLoss: number;
  valLoss: number;
}

/** Callbacks of an evaluation, called after each batch. */
export interface EvaluationHooks {
  /** Returning true ends the evaluation early. */
  isStopped?(): boolean;
  /** The number of batches so far, and of all batches of both splits. */
  progress?(done: number, total: number): void;
}

/**
 * Returns a function that computes the mean losses over evalIters batches of both splits, without
 * dropout, or resolves to null if `isStopped` returns true before that. The batches depend on the
 * step alone, so that evaluations of the same step see the same batches.
 */
export function makeEvaluator(
  run: Evaluated,
): (step: number, hooks?: EvaluationHooks) => Promise<Losses | null> {
  const { device, model, config, ema } = run;
  const { evalIters, batchSize: B, blockSize: T, seed } = config;
  const losses = new ScalarBuffer(evalIters, device);
  const lossFunctions = [run.tokens.train, run.tokens.val].map((split) => {
    const tokens = keep(tensor(split, { device }));
    return device.capture((counter: Tensor) =>
      noGrad(() => {
        const [x, y] = sampleBatch(tokens, counter, "evaluation", [B, T]); // (B, T), (B, T)
        return model.forward(x, y, { logits: false }).loss as Tensor;
      }),
    );
  });

  /** Returns the mean loss over the batches of one split. */
  const evaluateSplit = async (s: number, step: number, hooks: EvaluationHooks) => {
    losses.clear();
    for (let i = 0; i < evalIters; i++) {
      const site = s * evalIters + i;
      const addLoss = () =>
        scope(() => losses.push(lossFunctions[s](toCounterTensor({ site, step, seed }, device))));
      device.withMatmulPrecision(getMatmulPrecision(config), addLoss);
      hooks.progress?.(site + 1, 2 * evalIters);
      await platform.nextTask(); // lets signal handlers run
      if (hooks.isStopped?.()) return null;
    }
    return losses.read().reduce((sum, loss) => sum + loss, 0) / evalIters;
  };

  return async (step, hooks = {}) => {
    model.eval();
    ema?.swap();
    try {
      const trainLoss = await evaluateSplit(0, step, hooks);
      if (trainLoss === null) return null;
      const valLoss = await evaluateSplit(1, step, hooks);
      if (valLoss === null) return null;
      return { trainLoss, valLoss };
    } finally {
      ema?.swap();
      model.train();
    }
  };
}

/**
 * Converts a mean loss per token to nats per character and to bits per byte of UTF-8. Unlike the
 * loss per token, these can be compared between tokenizers.
 */
export function lossOfText(
  valLoss: number,
  { text, tokens }: Pick<Run, "text" | "tokens">,
): { perCharacter: number; bitsPerByte: number } {
  const { val } = splitText(text);
  const total = valLoss * tokens.val.length;
  return {
    perCharacter: total / countCharacters(val),
    bitsPerByte: total / Math.LN2 / countBytes(val),
  };
}
