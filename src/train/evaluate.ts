// Evaluation: the losses of a model on both splits of a text, over batches from an RNG stream of
// its own.

import { setImmediate as nextTask } from "node:timers/promises";
import { noGrad } from "../autograd.ts";
import type { Device } from "../backend/device.ts";
import {
  checkLengths,
  countCharacters,
  sampleBatch,
  splitText,
  splitTokens,
  toCounterTensor,
} from "../data/batches.ts";
import { loadCorpus } from "../data/corpus.ts";
import { UsageError } from "../errors.ts";
import { tensor } from "../ops/creation.ts";
import type { CheckpointName } from "../runs/choose.ts";
import { loadRun } from "../runs/load.ts";
import type { Run } from "../runs/run.ts";
import { keep, scope } from "../scope.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { ScalarBuffer } from "./scalar-buffer.ts";

/** The fields of a run that an evaluation uses. */
type Evaluated = Pick<Run, "config" | "device" | "model" | "tokens">;

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
  const { device, model, config } = run;
  const { evalIters, batchSize: B, blockSize: T, seed, dtype } = config;
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
      device.useTf32(dtype === "tf32", addLoss);
      hooks.progress?.(site + 1, 2 * evalIters);
      await nextTask(); // lets signal handlers run
      if (hooks.isStopped?.()) return null;
    }
    return losses.read().reduce((sum, loss) => sum + loss, 0) / evalIters;
  };

  return async (step, hooks = {}) => {
    model.eval();
    try {
      const trainLoss = await evaluateSplit(0, step, hooks);
      if (trainLoss === null) return null;
      const valLoss = await evaluateSplit(1, step, hooks);
      if (valLoss === null) return null;
      return { trainLoss, valLoss };
    } finally {
      model.train();
    }
  };
}

/**
 * Loads a text and its tokens to evaluate a run on: its own text, or `data`. Throws a UsageError if
 * the text is missing, has tokens that the run does not know, or is too short.
 */
export async function loadEvaluationText(
  { config, tokenizer }: Pick<Run, "config" | "tokenizer">,
  data = config.data,
): Promise<Pick<Run, "text" | "tokens">> {
  try {
    const { name, text } = await loadCorpus(data);
    const tokens = inText(name, () => splitTokens(text, tokenizer));
    checkLengths(tokens, name, config.blockSize);
    return { text, tokens };
  } catch (error) {
    const { message } = error as Error;
    throw new UsageError(`${message}; --data FILE names a text to evaluate on`, { cause: error });
  }
}

/** Adds the name of a text to the errors of `encode`. */
function inText<T>(name: string, encode: () => T): T {
  try {
    return encode();
  } catch (error) {
    throw new UsageError(`data: ${name}: ${(error as Error).message}`, { cause: error });
  }
}

/** Returns the losses of a run on its own text, or on the text `data`. */
export async function measureRun(
  out: string,
  options: {
    iters: number;
    data?: string;
    device: Device;
    checkpoint?: CheckpointName;
    base?: string;
  },
): Promise<Losses & Pick<Run, "text" | "tokens" | "tokenizer"> & { step: number }> {
  const { device, iters, data, checkpoint, base } = options;
  const names = checkpoint && [checkpoint];
  const { config, tokenizer, model, state } = loadRun(out, device, names, { base });
  const { text, tokens } = await loadEvaluationText({ config, tokenizer }, data);
  const measured = { config: { ...config, evalIters: iters }, device, model, tokens };
  const losses = (await makeEvaluator(measured)(state.step)) as Losses; // nothing stops it
  return { step: state.step, ...losses, text, tokens, tokenizer };
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
  const bytes = Buffer.byteLength(val);
  return { perCharacter: total / countCharacters(val), bitsPerByte: total / Math.LN2 / bytes };
}
