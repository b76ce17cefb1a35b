// Batches of training: sequences of tokens as inputs, and those one token later as targets. Random
// sequences of a text are sampled on the device, where its tokens are. The host reads those of
// shards and of epochs before the step.

import type { Device } from "../backend/device.ts";
import { tensor } from "../ops/creation.ts";
import { reshape } from "../ops/movement.ts";
import { keep } from "../scope.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { sampleBatch, toCounterTensor } from "./batches.ts";
import {
  type BatchCounter,
  type DataOrder,
  epochStarts,
  fixedStarts,
  randomStarts,
  type StartFunction,
} from "./order.ts";
import { type SplitTokens, type TokenSource, type Tokens, toSource } from "./tokens.ts";

/** Batches of B sequences of T tokens. */
export interface BatchSampler {
  /** Returns the inputs of sample() for the batch of an RNG counter. */
  prepare(counter: BatchCounter): Tensor[];
  /** Returns the tokens and for each the one that follows it: x, y [B, T]. May be captured. */
  sample(...inputs: Tensor[]): [x: Tensor, y: Tensor];
}

/** The options of a run that its batches depend on. */
export interface BatchOptions {
  batchSize: number;
  blockSize: number;
  gradAccum: number;
  dataOrder: DataOrder;
}

/** Returns the sampler of training: random sequences, or epochs. */
export function makeTrainSampler(
  tokens: Tokens,
  device: Device,
  { batchSize: B, blockSize: T, gradAccum, dataOrder }: BatchOptions,
): BatchSampler {
  if (dataOrder === "random") return makeRandomSampler(tokens, device, "batch", [B, T]);
  const source = toSource(tokens);
  return readBatches(source, device, epochStarts(source.parts, T, gradAccum), [B, T]);
}

/**
 * Returns the samplers of evaluations of `evalIters` batches, whose sites count from 0 for the
 * training split, and go on for the validation split: random sequences that depend on the step. Of
 * validation shards, which may be too many to see a large part, always the first sequences.
 */
export function makeEvaluationSamplers(
  { train, val }: SplitTokens,
  device: Device,
  {
    batchSize: B,
    blockSize: T,
    evalIters,
  }: Pick<BatchOptions, "batchSize" | "blockSize"> & { evalIters: number },
): BatchSampler[] {
  const ofTrain = makeRandomSampler(train, device, "evaluation", [B, T]);
  const ofVal =
    val instanceof Int32Array
      ? makeRandomSampler(val, device, "evaluation", [B, T])
      : readBatches(val, device, fixedStarts(val.length, T, evalIters), [B, T]);
  return [ofTrain, ofVal];
}

/** Splits the inputs of all batches of a step, in a row, into those of each batch. */
export function splitInputs(inputs: Tensor[], batches: number): Tensor[][] {
  const count = inputs.length / batches;
  return Array.from({ length: batches }, (_, i) => inputs.slice(i * count, (i + 1) * count));
}

function makeRandomSampler(
  tokens: Tokens,
  device: Device,
  stream: "batch" | "evaluation",
  [B, T]: readonly [B: number, T: number],
): BatchSampler {
  if (!(tokens instanceof Int32Array))
    return readBatches(tokens, device, randomStarts(tokens.length, T, stream), [B, T]);
  const data = keep(tensor(tokens, { device }));
  return {
    prepare: (counter) => [toCounterTensor(counter, device)],
    sample: (counter) => sampleBatch(data, counter, stream, [B, T]),
  };
}

/** Reads batches on the host. On a GPU this overlaps with the step before, which still runs. */
function readBatches(
  source: TokenSource,
  device: Device,
  findStarts: StartFunction,
  [B, T]: readonly [B: number, T: number],
): BatchSampler {
  const sequence = new Int32Array(T + 1);
  const x = new Int32Array(B * T);
  const y = new Int32Array(B * T);
  return {
    prepare(counter) {
      for (const [b, start] of findStarts(counter, B).entries()) {
        source.read(start, T + 1, sequence, 0);
        x.set(sequence.subarray(0, T), b * T);
        y.set(sequence.subarray(1), b * T);
      }
      return [x, y].map((ids) => reshape(tensor(ids, { device }), [B, T]));
    },
    sample: (x, y) => [x, y],
  };
}
