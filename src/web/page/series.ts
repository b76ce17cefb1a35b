// The metrics of one run as growing columns of numbers, which the charts plot. The rows come from a
// file that may contain anything, so only numbers that can be plotted are accepted. The columns of
// a long run are thinned: the charts show two values per pixel at most.

import { Column } from "./column.ts";

/** The number of rows of a table above which it is thinned. */
const MAX_ROWS = 2 ** 17;
/** The largest value that is plotted. */
export const MAX_VALUE = 1e30;
/** The largest step and time: f64 can represent the ticks of any range of them. */
const MAX_X = 1e12;

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
        this.#thinSteps();
        const count = this.stepCount + 1;
        pushRow(this.steps, row);
        this.#counts.push(count);
      }
      if (row.valLoss !== undefined) {
        this.#thinEvaluations();
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

  #thinEvaluations(): void {
    const { step, valLoss } = this.evaluations;
    if (step.length >= MAX_ROWS) selectRows(this.evaluations, findExtremeRows(step, valLoss));
  }

  /** Halves the number of rows of a long run. The lowest and highest losses are kept. */
  #thinSteps(): void {
    if (this.steps.step.length < MAX_ROWS) return;
    const rows = findExtremeRows(this.steps.step, this.steps.loss);
    selectRows(this.steps, rows);
    this.#counts.select(rows);
    this.#smoothingWeight = Number.NaN;
  }
}

/**
 * Divides the range of the steps into equal parts, so that a long run has the same resolution
 * everywhere. Returns the indices of the lowest and the highest value of each part, and of the
 * first and the last one of all: at most half of the rows.
 */
function findExtremeRows(steps: Column, values: Column): number[] {
  const end = steps.length - 1;
  const width = (steps.last() - steps.values[0]) / (MAX_ROWS / 4 - 1);
  const indices = [0];
  for (let begin = 1; begin < end; ) {
    const part = Math.floor((steps.values[begin] - steps.values[0]) / width);
    const limit = steps.values[0] + (part + 1) * width;
    const next = Math.max(begin + 1, steps.lowerBound(limit, begin, end));
    const [first, second] = values.findExtremes(begin, next);
    indices.push(first);
    if (second > first) indices.push(second);
    begin = next;
  }
  indices.push(end);
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
