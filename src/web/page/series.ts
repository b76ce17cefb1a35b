// The metrics of one run as growing columns of numbers, which the charts plot. The rows come from a
// file that may contain anything, so only numbers that can be plotted are accepted. The columns of
// a long run are thinned: the charts show two values per pixel at most.

/** The number of values in a block. The positions of each block's extremes are cached. */
const BLOCK = 16;
/** The number of rows of a table above which it is thinned. */
const MAX_ROWS = 2 ** 17;
/** The largest value that is plotted. */
export const MAX_VALUE = 1e30;
/** The largest step and time: f64 can represent the ticks of any range of them. */
const MAX_X = 1e12;

/** A growing array of numbers. Its capacity doubles when it is full. */
export class Column {
  values = new Float64Array(256);
  /** The number of values. Decreasing it truncates the column. */
  length = 0;
  /** Increases with each push and selection, but not when the column is truncated. */
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

  /** Keeps the values at some indices, which are in order. */
  select(indices: readonly number[]): void {
    for (const [i, index] of indices.entries()) this.values[i] = this.values[index];
    this.length = indices.length;
    this.version++;
    this.#minima.length = 0;
    this.#maxima.length = 0;
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
  /** For each row of `steps`, the number of rows up to it, which have been thinned since. */
  readonly #counts = new Column();
  readonly #smoothed = new Column();
  #smoothingWeight = Number.NaN;
  #weightedSum = 0;
  #weightSum = 0;

  /** The number of logged steps. */
  get stepCount(): number {
    return this.#counts.last() || 0;
  }

  /**
   * Appends rows. A row of an earlier step first discards the rows from that step on. A value that
   * is not a row is passed over.
   */
  append(rows: readonly unknown[]): void {
    for (const value of rows) {
      const row = toRow(value);
      if (!row) continue;
      this.#truncate(row.step as number);
      if (row.loss !== undefined) {
        this.#thin();
        const count = this.stepCount + 1;
        pushRow(this.steps, row);
        this.#counts.push(count);
      }
      if (row.valLoss !== undefined) {
        if (this.evaluations.step.length >= MAX_ROWS)
          selectRows(this.evaluations, findExtremeRows(this.evaluations.valLoss));
        pushRow(this.evaluations, row);
      }
    }
  }

  clear(): void {
    this.#truncate(-Infinity);
  }

  /**
   * Returns the exponential moving average of the loss, m = w m + (1 - w) x, with the bias
   * correction of Adam (Kingma and Ba, 2015): m / (1 - w^n). The weight w is in [0, 1). A loss that
   * stands for several rows, because others have been thinned, counts as often.
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
        const rows = this.#counts.values[i] - (i > 0 ? this.#counts.values[i - 1] : 0);
        const w = weight ** rows;
        this.#weightedSum = w * this.#weightedSum + (1 - w) * values[i];
        this.#weightSum = w * this.#weightSum + (1 - w);
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
      if (table !== this.steps) continue;
      this.#counts.length = length;
      this.#smoothingWeight = Number.NaN; // smooth from the start
    }
  }

  /** Halves the number of rows of a long run. The lowest and highest losses are kept. */
  #thin(): void {
    if (this.steps.step.length < MAX_ROWS) return;
    const rows = findExtremeRows(this.steps.loss);
    selectRows(this.steps, rows);
    this.#counts.select(rows);
    this.#smoothingWeight = Number.NaN;
  }
}

/** Returns the indices of the lowest and the highest of each four values, and of the last one. */
function findExtremeRows(column: Column): number[] {
  const indices = [0];
  const last = column.length - 1;
  for (let begin = 1; begin < last; begin += 4) {
    const [first, second] = column.findExtremes(begin, Math.min(begin + 4, last));
    indices.push(first);
    if (second > first) indices.push(second);
  }
  if (last > 0) indices.push(last);
  return indices;
}

function selectRows(table: Columns<string>, indices: readonly number[]): void {
  for (const column of Object.values(table)) column.select(indices);
}

/** Returns null if a value is not a row with a valid step. */
function toRow(value: unknown): Record<string, unknown> | null {
  if (typeof value !== "object" || value === null) return null;
  const row = value as Record<string, unknown>;
  return isNumber(row.step, MAX_X) ? row : null;
}

function isNumber(value: unknown, max: number): value is number {
  return typeof value === "number" && Math.abs(value) <= max;
}

/** Appends a row to a table. A missing or invalid value, or null (NaN in JSON), becomes NaN. */
function pushRow<K extends StepMetric | EvaluationMetric>(
  table: Columns<K>,
  row: Record<string, unknown>,
): void {
  for (const name of Object.keys(table) as K[]) {
    const value = row[name];
    if (name === "elapsedSeconds") pushTime(table[name], value);
    else table[name].push(isNumber(value, MAX_VALUE) ? value : Number.NaN);
  }
}

/** Appends a time to a column, which must be sorted to serve as an x axis. */
function pushTime(column: Column, value: unknown): void {
  const last = column.last() || 0;
  column.push(isNumber(value, MAX_X) ? Math.max(last, value) : last);
}
