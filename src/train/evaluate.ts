// The losses of a model on both splits of a text, over batches drawn for that alone.

import { setImmediate as nextTask } from "node:timers/promises";
import type { Device } from "../device.ts";
import type { LanguageModel } from "../gpt/bigram.ts";
import type { Place } from "../random.ts";
import { scope } from "../scope.ts";
import { noGrad, type Tensor } from "../tensor.ts";
import { loadCorpus } from "../text/corpus.ts";
import { drawBatch, splitTokens } from "./batches.ts";
import { loadRun, type Run } from "./run.ts";

/** What an evaluation, or a batch, needs of a run. */
type Measured = Pick<Run, "config" | "device" | "model" | "tokens">;

export interface Losses {
  trainLoss: number;
  valLoss: number;
}

/**
 * Gives a function for the mean losses over evalIters batches of both splits, without dropout; null
 * if it is told to stop. The batches hang on the step alone: equal steps, equal batches.
 */
export function evaluator(
  run: Measured,
): (step: number, stopping?: () => boolean) => Promise<Losses | null> {
  const { device, model, tokens } = run;
  const { evalIters } = run.config;
  const measure = device.capture((x: Tensor, y: Tensor) => noGrad(() => lossOf(model, x, y)));
  return async (step, stopping = () => false) => {
    const means = [];
    model.eval();
    try {
      for (const [s, split] of [tokens.train, tokens.val].entries()) {
        let sum = 0;
        for (let i = 0; i < evalIters; i++) {
          const place = { site: s * evalIters + i, step, stream: "evaluation" } as const;
          sum += scope(() => measure(...batchOf(run, split, place)).item());
          await nextTask(); // lets signals in
          if (stopping()) return null;
        }
        means.push(sum / evalIters);
      }
    } finally {
      model.train();
    }
    return { trainLoss: means[0], valLoss: means[1] };
  };
}

/** The losses of a run's best checkpoint, on its own text or another. */
export async function measureRun(
  out: string,
  options: { iters: number; data?: string; device: Device },
): Promise<Losses & { step: number }> {
  const { device, iters, data } = options;
  const { config, tokenizer, model, state } = loadRun(out, device);
  const { text } = await loadCorpus(data ?? config.data);
  const tokens = splitTokens(tokenizer.encode(text));
  const measured = { config: { ...config, evalIters: iters }, device, model, tokens };
  const losses = (await evaluator(measured)(state.step)) as Losses; // nobody tells it to stop
  return { step: state.step, ...losses };
}

export function lossOf(model: LanguageModel, x: Tensor, y: Tensor): Tensor {
  return model.forward(x, y, { logits: false }).loss as Tensor;
}

export function batchOf(run: Measured, split: Int32Array, place: Place): [x: Tensor, y: Tensor] {
  const { batchSize, blockSize } = run.config;
  const { x, y } = drawBatch(split, batchSize, blockSize, place, run.device);
  return [x, y];
}
