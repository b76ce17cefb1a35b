// The metrics of one run as growing columns of numbers, which the charts plot.

import type { MetricsRow } from "../protocol.ts";

/** The number of values in a block. The positions of each block's extremes are cached. */
const BLOCK = 16;

/** A growing array of numbers. Its capacity doubles when it is full. */
export class Column {
  values = new Float64Array(256);
  /** The number of values. Decreasing it truncates the column. */
  length = 0;
  /** Increases with each push, but not when the column is truncated. */
  version = 0;
  /** For each block, the index of its minimum and of its maximum. */
  readonly #minima: number[] = [];
  readonly #maxima: number[] = [];

  push(x: number): void {
    // blocks after the end are left over from before a truncation
    const fullBlocks = Math.floor(this.length / BLOCK);
    if (this.#minima.length > fullBlocks) {
      this.#minima.length = fullBlocks;
      this.#maxima.length = fullBlocks;
    }
    if (this.length === this.values.length) {
      const larger = new Float64Array(2 * this.length);
      larger.set(this.values);
      this.values = larger;
    }
    this.values[this.length++] = x;
    this.version++;
  }

  /** Returns the last value, or NaN if the column is empty. */
  last(): number {
    return this.length ? this.values[this.length - 1] : Number.NaN;
  }

  /** Returns the first index in [begin, end) whose value is at least `x`. Values must be sorted. */
  lowerBound(x: number, begin = 0, end = this.length): number {
    let low = begin;
    let high = end;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.values[middle] < x) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Returns the indices of the minimum and maximum in [begin, end), in order. Ignores NaN. */
  findExtremes(begin: number, end: number): [first: number, second: number] {
    for (let i = this.#minima.length * BLOCK; i + BLOCK <= this.length; i += BLOCK) {
      const [minimum, maximum] = this.#scan(i, i + BLOCK);
      this.#minima.push(minimum);
      this.#maxima.push(maximum);
    }
    const [minimum, maximum] = this.#scan(begin, end);
    return minimum < maximum ? [minimum, maximum] : [maximum, minimum];
  }

  /** Returns the index of the minimum and of the maximum, taking a cached block as one step. */
  #scan(begin: number, end: number): [minimum: number, maximum: number] {
    const { values } = this;
    let minimum = begin;
    let maximum = begin;
    let lowest = Infinity;
    let highest = -Infinity;
    let i = begin;
    while (i < end) {
      const block = i / BLOCK;
      const isCached = i % BLOCK === 0 && i + BLOCK <= end && block < this.#minima.length;
      const low = isCached ? this.#minima[block] : i;
      const high = isCached ? this.#maxima[block] : i;
      if (values[low] < lowest) {
        lowest = values[low];
        minimum = low;
      }
      if (values[high] > highest) {
        highest = values[high];
        maximum = high;
      }
      i += isCached ? BLOCK : 1;
    }
    return [minimum, maximum];
  }

  /** Returns the index of the value nearest to `x`, or -1 if there is none. Must be sorted. */
  findNearest(x: number): number {
    const i = this.lowerBound(x);
    if (i === this.length) return i - 1;
    return i > 0 && x - this.values[i - 1] < this.values[i] - x ? i - 1 : i;
  }
}

export type StepMetric = "step" | "elapsedSeconds" | "loss" | "lr" | "gradNorm" | "tokensPerSecond";
export type EvaluationMetric = "step" | "elapsedSeconds" | "trainLoss" | "valLoss";

const stepMetrics: StepMetric[] = [
  "step",
  "elapsedSeconds",
  "loss",
  "lr",
  "gradNorm",
  "tokensPerSecond",
];
const evaluationMetrics: EvaluationMetric[] = ["step", "elapsedSeconds", "trainLoss", "valLoss"];

type Columns<K extends string> = Record<K, Column>;

function createColumns<K extends string>(names: K[]): Columns<K> {
  return Object.fromEntries(names.map((name) => [name, new Column()])) as Columns<K>;
}

export class Series {
  /** The metrics of each logged step. */
  readonly steps = createColumns(stepMetrics);
  /** The losses of each evaluation. */
  readonly evaluations = createColumns(evaluationMetrics);
  readonly #smoothed = new Column();
  #smoothingWeight = Number.NaN;
  #weightedSum = 0;
  #weightSum = 0;

  /** Appends rows. A row of an earlier step first discards the rows from that step on. */
  append(rows: readonly MetricsRow[]): void {
    for (const row of rows) {
      this.#truncate(row.step);
      if (row.loss !== undefined) pushRow(this.steps, row);
      if (row.valLoss !== undefined) pushRow(this.evaluations, row);
    }
  }

  clear(): void {
    this.#truncate(-1);
  }

  /**
   * Returns the exponential moving average of the loss, m = w m + (1 - w) x, with the bias
   * correction of Adam (Kingma and Ba, 2015): m / (1 - w^n). The weight w is in [0, 1).
   */
  smooth(weight: number): Column {
    const { values, length } = this.steps.loss;
    if (weight !== this.#smoothingWeight) {
      this.#smoothed.length = 0;
      this.#weightedSum = 0;
      this.#weightSum = 0;
      this.#smoothingWeight = weight;
    }
    for (let i = this.#smoothed.length; i < length; i++) {
      if (!Number.isNaN(values[i])) {
        this.#weightedSum = weight * this.#weightedSum + (1 - weight) * values[i];
        this.#weightSum = weight * this.#weightSum + (1 - weight);
      }
      this.#smoothed.push(this.#weightedSum / this.#weightSum);
    }
    return this.#smoothed;
  }

  /** Discards all rows from a step on. */
  #truncate(step: number): void {
    for (const table of [this.steps, this.evaluations] as Columns<string>[]) {
      const last = table.step.last(); // NaN if there are no rows
      if (Number.isNaN(last) || last < step) continue;
      const length = table.step.lowerBound(step);
      for (const column of Object.values(table)) column.length = length;
      if (table === this.steps) this.#smoothingWeight = Number.NaN; // smooth from the start
    }
  }
}

/** Appends a row to a table. Missing values and null, which is NaN in JSON, become NaN. */
function pushRow<K extends StepMetric | EvaluationMetric>(
  table: Columns<K>,
  row: MetricsRow,
): void {
  for (const name of Object.keys(table) as K[]) table[name].push(row[name] ?? Number.NaN);
}
