// The rows of one run as columns of numbers that grow: what charts draw from.

import type { Row } from "../protocol.ts";

/** So many numbers are a block, whose lowest and highest are remembered. */
const BLOCK = 16;

/** Numbers in one piece of memory, which is doubled when it is full. */
export class Numbers {
  values = new Float64Array(256);
  length = 0;
  /** Grows with each change but a cut. */
  changes = 0;
  /** By block, where its lowest and its highest number are. */
  readonly #lowest: number[] = [];
  readonly #highest: number[] = [];

  push(x: number): void {
    const whole = Math.floor(this.length / BLOCK); // there were more before it was cut
    if (this.#lowest.length > whole) this.#lowest.length = this.#highest.length = whole;
    if (this.length === this.values.length) {
      const larger = new Float64Array(2 * this.length);
      larger.set(this.values);
      this.values = larger;
    }
    this.values[this.length++] = x;
    this.changes++;
  }

  last(): number {
    return this.length ? this.values[this.length - 1] : Number.NaN;
  }

  /** The first place whose number is not below `x`, in numbers that rise from `low` to `high`. */
  placeOf(x: number, low = 0, high = this.length): number {
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.values[middle] < x) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Where the lowest and the highest from `begin` to `end` are, in order; NaN is neither. */
  extremes(begin: number, end: number): [first: number, second: number] {
    for (let at = this.#lowest.length * BLOCK; at + BLOCK <= this.length; at += BLOCK) {
      const [lowest, highest] = this.#ends(at, at + BLOCK);
      this.#lowest.push(lowest);
      this.#highest.push(highest);
    }
    const [lowest, highest] = this.#ends(begin, end);
    return lowest < highest ? [lowest, highest] : [highest, lowest];
  }

  /** The same, but the lowest first; a block that is remembered is one step. */
  #ends(begin: number, end: number): [lowest: number, highest: number] {
    const { values } = this;
    let [lowest, highest] = [begin, begin];
    let [least, most] = [Infinity, -Infinity];
    for (let at = begin, step = 1; at < end; at += step) {
      const block = at / BLOCK;
      const isBlock = at % BLOCK === 0 && at + BLOCK <= end && block < this.#lowest.length;
      const low = isBlock ? this.#lowest[block] : at;
      const high = isBlock ? this.#highest[block] : at;
      if (values[low] < least) {
        least = values[low];
        lowest = low;
      }
      if (values[high] > most) {
        most = values[high];
        highest = high;
      }
      step = isBlock ? BLOCK : 1;
    }
    return [lowest, highest];
  }

  /** The place whose number is nearest to `x`; -1 if there is none. */
  nearest(x: number): number {
    const at = this.placeOf(x);
    if (at === this.length) return at - 1;
    return at > 0 && x - this.values[at - 1] < this.values[at] - x ? at - 1 : at;
  }
}

export type Column = "step" | "elapsedSeconds" | "loss" | "lr" | "gradNorm" | "tokensPerSecond";
export type EvaluationColumn = "step" | "elapsedSeconds" | "trainLoss" | "valLoss";

const columns: Column[] = ["step", "elapsedSeconds", "loss", "lr", "gradNorm", "tokensPerSecond"];
const evaluationColumns: EvaluationColumn[] = ["step", "elapsedSeconds", "trainLoss", "valLoss"];

type Columns<K extends string> = Record<K, Numbers>;

function emptyColumns<K extends string>(names: K[]): Columns<K> {
  return Object.fromEntries(names.map((name) => [name, new Numbers()])) as Columns<K>;
}

export class Series {
  /** Of each step that was logged. */
  readonly steps = emptyColumns(columns);
  readonly evaluations = emptyColumns(evaluationColumns);
  #smooth = new Numbers();
  #weight = Number.NaN;
  #mean = 0;
  #share = 0;

  /** Adds rows. One of a step that was there already begins that part of the run anew. */
  append(rows: readonly Row[]): void {
    for (const row of rows) {
      this.#cutAt(row.step);
      if (row.loss !== undefined) push(this.steps, row);
      if (row.valLoss !== undefined) push(this.evaluations, row);
    }
  }

  clear(): void {
    this.#cutAt(-1);
  }

  /**
   * The exponential moving average of the loss: m = w m + (1 - w) x, over 1 - w^n, by which the
   * zero it begins with has no weight (as in Adam, Kingma and Ba 2015). w lies in [0, 1).
   */
  smooth(weight: number): Numbers {
    const { values, length } = this.steps.loss;
    if (weight !== this.#weight) {
      this.#smooth.length = this.#mean = this.#share = 0;
      this.#weight = weight;
    }
    for (let i = this.#smooth.length; i < length; i++) {
      if (!Number.isNaN(values[i])) {
        this.#mean = weight * this.#mean + (1 - weight) * values[i];
        this.#share = weight * this.#share + (1 - weight);
      }
      this.#smooth.push(this.#mean / this.#share);
    }
    return this.#smooth;
  }

  #cutAt(step: number): void {
    for (const table of [this.steps, this.evaluations] as Columns<string>[]) {
      if (!(table.step.last() >= step)) continue;
      const length = table.step.placeOf(step);
      for (const column of Object.values(table)) column.length = length;
      if (table === this.steps) this.#weight = Number.NaN;
    }
  }
}

/** What a row does not have, or what was no number and is null in JSON, is NaN. */
function push<K extends Column | EvaluationColumn>(table: Columns<K>, row: Row): void {
  for (const name of Object.keys(table) as K[]) table[name].push(row[name] ?? Number.NaN);
}
