// The losses of a model on both splits of a text, over batches drawn for that alone.

import { setImmediate as nextTask } from "node:timers/promises";
import { noGrad } from "../autograd.ts";
import type { Device } from "../backend/device.ts";
import { lengthOf, placeOf, sampleBatch, splitText, splitTokens } from "../data/batches.ts";
import { loadCorpus } from "../data/corpus.ts";
import type { LanguageModel } from "../gpt/language-model.ts";
import { tensor, zeros } from "../ops/creation.ts";
import { loadRun } from "../runs/load.ts";
import type { Run } from "../runs/run.ts";
import { keep, scope } from "../scope.ts";
import type { Tensor } from "../tensor/tensor.ts";

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
  const { device, model } = run;
  const { evalIters } = run.config;
  const measures = [run.tokens.train, run.tokens.val].map((split) => {
    const tokens = keep(tensor(split, { device }));
    return device.capture((place: Tensor) =>
      noGrad(() => lossOf(model, ...sampleBatch(tokens, place, "evaluation", sizesOf(run)))),
    );
  });
  const losses = keep(zeros([evalIters], { device }));
  return async (step, stopping = () => false) => {
    const means = [];
    model.eval();
    try {
      for (const [s, measure] of measures.entries()) {
        for (let i = 0; i < evalIters; i++) {
          const place = { site: s * evalIters + i, step };
          scope(() => putAt(losses, i, measure(placeOf(place, device))));
          await nextTask(); // lets signals in
          if (stopping()) return null;
        }
        means.push(Array.from(losses.data()).reduce((sum, loss) => sum + loss, 0) / evalIters);
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
): Promise<Losses & Pick<Run, "text" | "tokens" | "tokenizer"> & { step: number }> {
  const { device, iters, data } = options;
  const { config, tokenizer, model, state } = loadRun(out, device);
  const { text } = await loadCorpus(data ?? config.data);
  const tokens = splitTokens(text, tokenizer);
  const measured = { config: { ...config, evalIters: iters }, device, model, tokens };
  const losses = (await evaluator(measured)(state.step)) as Losses; // nobody tells it to stop
  return { step: state.step, ...losses, text, tokens, tokenizer };
}

/**
 * A mean loss per token as one per character, and in bits per byte of UTF-8: unlike the loss per
 * token, these can be compared between tokenizers.
 */
export function lossOfText(
  valLoss: number,
  { text, tokens }: Pick<Run, "text" | "tokens">,
): { perCharacter: number; bitsPerByte: number } {
  const { val } = splitText(text);
  const total = valLoss * tokens.val.length;
  const bytes = Buffer.byteLength(val);
  return { perCharacter: total / lengthOf(val), bitsPerByte: total / Math.LN2 / bytes };
}

export function lossOf(model: LanguageModel, x: Tensor, y: Tensor): Tensor {
  return model.forward(x, y, { logits: false }).loss as Tensor;
}

export function sizesOf({ config }: Pick<Run, "config">): [B: number, T: number] {
  return [config.batchSize, config.blockSize];
}

/** list[i] = x, without waiting for the device. */
export function putAt(list: Tensor, i: number, x: Tensor): void {
  list.device.kernels.sliceUpdate(x.floats, list.floats, 1, list.size, 1, i, 1);
  list.storage.bumpVersion();
}
