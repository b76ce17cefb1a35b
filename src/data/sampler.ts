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
  if (dataOrder === "random") return makeRandomSampler(tokens, device, "batch", [B, T], gradAccum);
  const source = toSource(tokens);
  const findStarts = epochStarts(source.parts, T, gradAccum);
  return readBatches(source, device, findStarts, [B, T], gradAccum);
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
  batches?: number,
): BatchSampler {
  if (!(tokens instanceof Int32Array))
    return readBatches(tokens, device, randomStarts(tokens.length, T, stream), [B, T], batches);
  const data = keep(tensor(tokens, { device }));
  return {
    prepare: (counter) => [toCounterTensor(counter, device)],
    sample: (counter) => sampleBatch(data, counter, stream, [B, T]),
  };
}

/** The most batches that are read at once, and about how many tokens. */
const MAX_BATCHES = 32;
const MAX_TOKENS = 2 ** 14;

/** The time in milliseconds to read a sequence that is not in the system's memory, at least. */
const SLOW_READ = 0.03;

/** After slow reads, the number of times that the batches after those read are prefetched. */
const PREFETCHES = 8;

/**
 * Reads batches on the host. On a GPU this overlaps with the step before, which still runs. Small
 * batches are read many at once, so that before most steps the threads of the kernels do not fall
 * asleep. While the disk is slow, the next ones are prefetched. A step has `batches` of them, by
 * default any number.
 */
function readBatches(
  source: TokenSource,
  device: Device,
  findStarts: StartFunction,
  [B, T]: readonly [B: number, T: number],
  batches = Infinity,
): BatchSampler {
  const sequence = new Int32Array(T + 1);
  const count = Math.max(1, Math.min(MAX_BATCHES, Math.floor(MAX_TOKENS / (B * T))));
  let ahead: { counter: BatchCounter; x: Int32Array; y: Int32Array }[] = [];
  let prefetches = 0;

  const readBatch = (counter: BatchCounter) => {
    const x = new Int32Array(B * T);
    const y = new Int32Array(B * T);
    for (const [b, start] of findStarts(counter, B).entries()) {
      source.read(start, T + 1, sequence, 0);
      x.set(sequence.subarray(0, T), b * T);
      y.set(sequence.subarray(1), b * T);
    }
    return { counter, x, y };
  };
  /** Returns the counter of the i-th batch after one. */
  const after = ({ site, step, seed }: BatchCounter, i: number): BatchCounter => {
    const steps = Math.floor((site + i) / batches); // 0 for any number of batches
    return { site: steps > 0 ? (site + i) % batches : site + i, step: step + steps, seed };
  };
  const readAhead = (first: BatchCounter) => {
    const begin = performance.now();
    ahead = [readBatch(first)];
    try {
      for (let i = 1; i < count; i++) ahead.push(readBatch(after(first, i)));
    } catch {} // thrown again if the batch's turn comes
    if (performance.now() - begin > SLOW_READ * B * ahead.length) prefetches = PREFETCHES;
    if (prefetches === 0) return;
    prefetches--;
    for (let i = count; i < 2 * count; i++)
      for (const start of findStarts(after(first, i), B)) source.prefetch?.(start, T + 1);
  };
  return {
    prepare(counter) {
      if (!isEqual(ahead[0]?.counter, counter)) readAhead(counter);
      const { x, y } = ahead.shift() as (typeof ahead)[number];
      return [x, y].map((ids) => reshape(tensor(ids, { device }), [B, T]));
    },
    sample: (x, y) => [x, y],
  };
}

function isEqual(a: BatchCounter | undefined, b: BatchCounter): boolean {
  return a?.site === b.site && a.step === b.step && a.seed === b.seed;
}
