// A growing column of numbers that finds its extremes quickly, for charts with many points.

/** The number of values in a block. The positions of each block's extremes are cached. */
const BLOCK = 16;

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
