// Evaluation: the losses of a model on both splits of a text, over batches from an RNG stream of
// its own.

import { platform } from "#platform";
import { noGrad } from "../autograd.ts";
import { countBytes, countCharacters, splitText } from "../data/batches.ts";
import { makeEvaluationSamplers } from "../data/sampler.ts";
import { closeTokens, type Tokens } from "../data/tokens.ts";
import { type Communicator, singleProcess } from "../distributed/communicator.ts";
import type { EMA } from "../optim/index.ts";
import type { Run } from "../runs/run.ts";
import { scope } from "../scope.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Tokenizer } from "../tokenizers/tokenizer.ts";
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
  /** Returning true ends the evaluation early, on every rank. */
  isStopped?(): boolean;
  /** The number of batches so far, and of all batches of both splits. */
  progress?(done: number, total: number): void;
}

/**
 * Returns a function that computes the mean losses over evalIters batches of both splits, without
 * dropout, or resolves to null if `isStopped` returns true before that. The batches depend on the
 * step alone, so that evaluations of the same step see the same batches. The ranks divide the
 * batches among them, and the result is the same as that of one process.
 */
export function makeEvaluator(
  run: Evaluated,
  communicator: Communicator = singleProcess,
): (step: number, hooks?: EvaluationHooks) => Promise<Losses | null> {
  const { device, model, config, ema } = run;
  const { evalIters, seed } = config;
  const { rank, size } = communicator;
  const losses = new ScalarBuffer(evalIters, device);
  const splits = makeEvaluationSamplers(run.tokens, device, config, size).map((sampler) => {
    const computeLoss = device.capture((...inputs: Tensor[]) =>
      noGrad(() => {
        const [x, y] = sampler.sample(...inputs); // (B, T), (B, T)
        return model.forward(x, y, { logits: false }).loss as Tensor;
      }),
    );
    return { sampler, computeLoss };
  });

  /** Returns the mean loss over the batches of one split. */
  const evaluateSplit = async (s: number, step: number, hooks: EvaluationHooks) => {
    const { sampler, computeLoss } = splits[s];
    losses.clear();
    for (let first = 0; first < evalIters; first += size) {
      const i = first + rank; // the ranks compute `size` batches at the same time
      const site = s * evalIters + i;
      const addLoss = () =>
        scope(() => losses.push(computeLoss(...sampler.prepare({ site, step, seed }))));
      if (i < evalIters) device.withMatmulPrecision(getMatmulPrecision(config), addLoss);
      hooks.progress?.(s * evalIters + Math.min(first + size, evalIters), 2 * evalIters);
      await platform.nextTask(); // lets signal handlers run
      if (communicator.any(hooks.isStopped?.() ?? false)) return null;
    }
    const all = new Float64Array(evalIters); // each is one rank's loss, and 0 on the others
    for (const [n, loss] of losses.read().entries()) all[n * size + rank] = loss;
    communicator.sum(all);
    return all.reduce((sum, loss) => sum + loss, 0) / evalIters;
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
  { text, tokens, tokenizer }: Pick<Run, "text" | "tokens" | "tokenizer">,
): { perCharacter: number; bitsPerByte: number } {
  const { characters, bytes } = measureText(text, tokens.val, tokenizer);
  const total = valLoss * tokens.val.length;
  return { perCharacter: total / characters, bitsPerByte: total / Math.LN2 / bytes };
}

/** The tokens of shards from which the properties of their text are estimated. */
const MAX_SAMPLE_TOKENS = 2 ** 18;

/** Returns all tokens in memory, or the first ones of shards. */
export function readSample(tokens: Tokens): Int32Array {
  if (tokens instanceof Int32Array) return tokens;
  const sample = new Int32Array(Math.min(tokens.length, MAX_SAMPLE_TOKENS));
  tokens.read(0, sample.length, sample, 0);
  closeTokens(tokens);
  return sample;
}

/** Returns the size of the validation text; for shards, whose text is not there, an estimate. */
function measureText(text: string, tokens: Tokens, tokenizer: Tokenizer) {
  if (tokens instanceof Int32Array) {
    const { val } = splitText(text);
    return { characters: countCharacters(val), bytes: countBytes(val) };
  }
  const sample = readSample(tokens);
  const decoded = tokenizer.decode(sample);
  const bytes = tokens.textBytes ?? (tokens.length / sample.length) * countBytes(decoded);
  return { characters: (bytes * countCharacters(decoded)) / countBytes(decoded), bytes };
}
