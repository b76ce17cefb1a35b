// The part of each training step that a rank computes. The options of a run say what a step is,
// gradAccum batches of batchSize sequences, whatever the number of ranks: they divide the batches
// among them, or the rows of each batch.

import { UsageError } from "../errors.ts";

/** Consecutive numbers from `first`. */
interface Range {
  readonly first: number;
  readonly count: number;
}

/** The part of each step that a rank computes. */
export interface Share {
  /** The number of ranks. */
  readonly size: number;
  /** Its batches, out of gradAccum. */
  readonly batches: Range;
  /** Its rows of each of these batches, out of batchSize. */
  readonly rows: Range;
  /** The number of equal parts of a step over all ranks, each a batch or some rows of one. */
  readonly parts: number;
  /** The number of its first part; the others follow. */
  readonly firstPart: number;
}

/** The options that say what a step is. */
export interface StepSize {
  gradAccum: number;
  batchSize: number;
}

/** Returns the share of a process that trains alone. */
export function wholeStep(step: StepSize): Share {
  return shareOf(step, { rank: 0, size: 1 });
}

/**
 * Returns the share of a rank. Throws a UsageError that names numbers that would fit if neither
 * the batches of a step nor the rows of a batch can be divided evenly.
 */
export function shareOf(
  { gradAccum, batchSize }: StepSize,
  { rank, size }: { rank: number; size: number },
): Share {
  if (gradAccum % size === 0) {
    const count = gradAccum / size;
    const batches = { first: rank * count, count };
    const rows = { first: 0, count: batchSize };
    return { size, batches, rows, parts: gradAccum, firstPart: rank * count };
  }
  if (batchSize % size === 0) {
    const count = batchSize / size;
    const batches = { first: 0, count: gradAccum };
    const rows = { first: rank * count, count };
    return { size, batches, rows, parts: gradAccum * size, firstPart: rank * gradAccum };
  }
  const sizes = nearestSizes({ gradAccum, batchSize }, size);
  const smaller = batchSize - (batchSize % size);
  const batchSizes = smaller > 0 ? `${smaller} or ${smaller + size}` : `${size}`;
  throw new UsageError(
    `train: ${size} processes cannot share a step of gradAccum ${gradAccum} x batchSize ` +
      `${batchSize}: one of the two must be a multiple of ${size}; use ${sizes} ` +
      `${sizes === "1" ? "process" : "processes"}, or --batch-size ${batchSizes}`,
  );
}

/** Returns the nearest numbers of processes below and above that can share a step. */
function nearestSizes({ gradAccum, batchSize }: StepSize, size: number): string {
  const fits = (n: number) => gradAccum % n === 0 || batchSize % n === 0;
  let below = size - 1;
  while (!fits(below)) below--;
  let above = size + 1;
  while (above <= Math.max(gradAccum, batchSize) && !fits(above)) above++;
  return above <= Math.max(gradAccum, batchSize) ? `${below} or ${above}` : `${below}`;
}
