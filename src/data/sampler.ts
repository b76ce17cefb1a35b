// Batches of training: sequences of tokens as inputs, and those one token later as targets. Random
// sequences of a text are sampled on the device, where its tokens are. The host reads those of
// shards and of epochs before the step.

import type { Device } from "../backend/device.ts";
import { type Share, wholeStep } from "../distributed/share.ts";
import { tensor } from "../ops/creation.ts";
import { reshape, slice } from "../ops/movement.ts";
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

/**
 * Returns the sampler of training: random sequences, or epochs. `share` is the part of each step
 * that this process computes: its batches are made one after the other, and have only its rows.
 */
export function makeTrainSampler(
  tokens: Tokens,
  device: Device,
  options: BatchOptions,
  share: Share = wholeStep(options),
): BatchSampler {
  const { batchSize: B, blockSize: T, gradAccum, dataOrder } = options;
  const { batches, rows } = share;
  const next = ({ site, step, seed }: BatchCounter): BatchCounter =>
    site + 1 < batches.first + batches.count
      ? { site: site + 1, step, seed }
      : { site: batches.first, step: step + 1, seed };
  const sequence = { next, rows };
  if (dataOrder === "random") return makeRandomSampler(tokens, device, "batch", [B, T], sequence);
  const source = toSource(tokens);
  const findStarts = epochStarts(source.parts, T, gradAccum);
  return readBatches(source, device, findStarts, [B, T], sequence);
}

/**
 * Returns the samplers of evaluations of `evalIters` batches, whose sites count from 0 for the
 * training split, and go on for the validation split: random sequences that depend on the step. Of
 * validation shards, which may be too many to see a large part, always the first sequences. A
 * process that makes every n-th batch of a split passes `stride` n.
 */
export function makeEvaluationSamplers(
  { train, val }: SplitTokens,
  device: Device,
  {
    batchSize: B,
    blockSize: T,
    evalIters,
  }: Pick<BatchOptions, "batchSize" | "blockSize"> & { evalIters: number },
  stride = 1,
): BatchSampler[] {
  const next = ({ site, step, seed }: BatchCounter) => ({ site: site + stride, step, seed });
  const sequence = { next, rows: { first: 0, count: B } };
  const ofTrain = makeRandomSampler(train, device, "evaluation", [B, T], sequence);
  const ofVal =
    val instanceof Int32Array
      ? makeRandomSampler(val, device, "evaluation", [B, T], sequence)
      : readBatches(val, device, fixedStarts(val.length, T, evalIters), [B, T], sequence);
  return [ofTrain, ofVal];
}

/** Splits the inputs of all batches of a step, in a row, into those of each batch. */
export function splitInputs(inputs: Tensor[], batches: number): Tensor[][] {
  const count = inputs.length / batches;
  return Array.from({ length: batches }, (_, i) => inputs.slice(i * count, (i + 1) * count));
}

/** The batches that a sampler makes one after the other, and the rows of each that it keeps. */
interface BatchSequence {
  /** Returns the counter of the batch after one. */
  next(counter: BatchCounter): BatchCounter;
  rows: Share["rows"];
}

function makeRandomSampler(
  tokens: Tokens,
  device: Device,
  stream: "batch" | "evaluation",
  [B, T]: readonly [B: number, T: number],
  sequence: BatchSequence,
): BatchSampler {
  if (!(tokens instanceof Int32Array))
    return readBatches(tokens, device, randomStarts(tokens.length, T, stream), [B, T], sequence);
  const data = keep(tensor(tokens, { device }));
  const { first, count } = sequence.rows;
  const takeRows = (x: Tensor) => slice(x, { dim: 0, start: first, end: first + count });
  return {
    prepare: (counter) => [toCounterTensor(counter, device)],
    sample(counter) {
      const [x, y] = sampleBatch(data, counter, stream, [B, T]);
      return count === B ? [x, y] : [takeRows(x), takeRows(y)];
    },
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
 * asleep. While the disk is slow, the next ones are prefetched.
 */
function readBatches(
  source: TokenSource,
  device: Device,
  findStarts: StartFunction,
  [B, T]: readonly [B: number, T: number],
  { next, rows }: BatchSequence,
): BatchSampler {
  const sequence = new Int32Array(T + 1);
  const count = Math.max(1, Math.min(MAX_BATCHES, Math.floor(MAX_TOKENS / (rows.count * T))));
  let ahead: { counter: BatchCounter; x: Int32Array; y: Int32Array }[] = [];
  let prefetches = 0;

  const startsOf = (counter: BatchCounter) =>
    findStarts(counter, B).slice(rows.first, rows.first + rows.count);
  const readBatch = (counter: BatchCounter) => {
    const x = new Int32Array(rows.count * T);
    const y = new Int32Array(rows.count * T);
    for (const [b, start] of startsOf(counter).entries()) {
      source.read(start, T + 1, sequence, 0);
      x.set(sequence.subarray(0, T), b * T);
      y.set(sequence.subarray(1), b * T);
    }
    return { counter, x, y };
  };
  const readAhead = (first: BatchCounter) => {
    const begin = performance.now();
    const counters = [first];
    while (counters.length < 2 * count) counters.push(next(counters[counters.length - 1]));
    ahead = [readBatch(first)];
    try {
      for (const counter of counters.slice(1, count)) ahead.push(readBatch(counter));
    } catch {} // thrown again if the batch's turn comes
    if (performance.now() - begin > SLOW_READ * rows.count * ahead.length) prefetches = PREFETCHES;
    if (prefetches === 0) return;
    prefetches--;
    for (const counter of counters.slice(count))
      for (const start of startsOf(counter)) source.prefetch?.(start, T + 1);
  };
  return {
    prepare(counter) {
      if (!isEqual(ahead[0]?.counter, counter)) readAhead(counter);
      const { x, y } = ahead.shift() as (typeof ahead)[number];
      return [x, y].map((ids) => reshape(tensor(ids, { device }), [rows.count, T]));
    },
    sample: (x, y) => [x, y],
  };
}

function isEqual(a: BatchCounter | undefined, b: BatchCounter): boolean {
  return a?.site === b.site && a.step === b.step && a.seed === b.seed;
}
