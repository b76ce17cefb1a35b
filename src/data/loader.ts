// Datasets and their batches, by PyTorch's names.

import { checkCount, checkOptions, describe, fail } from "../errors.ts";
import { indexAlong } from "../ops/indexing.ts";
import { reshape, stack } from "../ops/movement.ts";
import { randperm } from "../ops/random.ts";
import { formatCount, formatFields, inspectSymbol } from "../printing.ts";
import { formatShape } from "../shape.ts";
import { checkTensor } from "../tensor/ndarray.ts";
import { Tensor } from "../tensor/tensor.ts";

/** Samples by number, from 0 to length - 1. An object of one's own can read them from anywhere. */
export interface Dataset<Sample> {
  /** The number of samples. */
  readonly length: number;
  /** Returns sample i, or a promise of it. */
  get(i: number): Sample | Promise<Sample>;
}

/**
 * The rows of one or more tensors: sample i has row i of each.
 * @example
 * const dataset = new TensorDataset(randn([10, 3]), arange(10));
 * console.log(dataset.length, dataset.get(2)[1].item()); // 10 2
 */
export class TensorDataset implements Dataset<Tensor[]> {
  /** The tensors, with one row a sample. */
  readonly tensors: readonly Tensor[];
  /** The number of samples. */
  readonly length: number;

  /** All tensors have the same number of rows. */
  constructor(...tensors: Tensor[]) {
    if (tensors.length === 0) fail("TensorDataset: no tensors, expected at least one");
    for (const [i, x] of tensors.entries()) {
      checkTensor("TensorDataset", `tensor ${i}`, x);
      if (x.shape.length === 0) fail(`TensorDataset: tensor ${i} is a scalar, expected rows`);
      if (x.shape[0] !== tensors[0].shape[0])
        fail(`TensorDataset: tensor ${i} has ${x.shape[0]} rows, expected ${tensors[0].shape[0]}`);
    }
    this.tensors = tensors;
    this.length = tensors[0].shape[0];
  }

  /** Returns row i of each tensor. */
  get(i: number): Tensor[] {
    return this.select([i]).map((rows) => reshape(rows, rows.shape.slice(1)));
  }

  /** Returns the text that console.log() prints: the number of samples and the shapes of one. */
  toString(): string {
    const shapes = this.tensors.map(({ shape }) => formatShape(shape.slice(1)));
    return `TensorDataset(${formatCount(this.length, "sample")} of ${shapes.join(", ")})`;
  }

  /** @internal */
  [inspectSymbol](): string {
    return this.toString();
  }

  /** Returns these rows of each tensor. */
  select(indices: readonly number[]): Tensor[] {
    for (const i of indices) {
      if (!Number.isInteger(i) || i < 0 || i >= this.length)
        fail(`TensorDataset: sample ${i} does not exist, the length is ${this.length}`);
    }
    return this.tensors.map((x) => indexAlong(x, 0, Int32Array.from(indices)));
  }
}

/** Options of DataLoader: PyTorch's. */
export interface DataLoaderOptions<Sample, Batch> {
  /** Samples per batch; default 1. */
  batchSize?: number;
  /** A new random order in each epoch, by the generator that manualSeed() sets. Default false. */
  shuffle?: boolean;
  /** Leaves out a last batch that is smaller than the others; default false. */
  dropLast?: boolean;
  /** Makes a batch. By default, tensors are stacked, and lists of tensors by position. */
  collate?: (samples: Sample[]) => Batch;
}

/**
 * The batches of a dataset. Each loop over them is an epoch: `for (const [x, y] of loader)`, or
 * `for await` if the dataset returns promises.
 * @example
 * const dataset = new TensorDataset(randn([10, 3]), arange(10));
 * for (const [x, y] of new DataLoader(dataset, { batchSize: 4, shuffle: true }))
 *   console.log(x.shape, y.shape); // [ 4, 3 ] [ 4 ] twice, then [ 2, 3 ] [ 2 ]
 */
export class DataLoader<Sample, Batch = Sample> implements Iterable<Batch>, AsyncIterable<Batch> {
  /** The samples. */
  readonly dataset: Dataset<Sample>;
  /** The number of samples per batch. */
  readonly batchSize: number;
  readonly #options: DataLoaderOptions<Sample, Batch>;

  constructor(dataset: Dataset<Sample>, options: DataLoaderOptions<Sample, Batch> = {}) {
    checkOptions("DataLoader", options, ["batchSize", "shuffle", "dropLast", "collate"]);
    const { batchSize = 1, collate } = options;
    checkCount("DataLoader", "batchSize", batchSize);
    if (!(Number.isInteger(dataset?.length) && dataset.length >= 0))
      fail(`DataLoader: dataset is ${describe(dataset)}, expected one with length and get(i)`);
    if (typeof dataset.get !== "function")
      fail(`DataLoader: dataset is ${describe(dataset)}, expected one with get(i)`);
    if (collate !== undefined && typeof collate !== "function")
      fail(`DataLoader: collate is ${describe(collate)}, expected a function`);
    this.dataset = dataset;
    this.batchSize = batchSize;
    this.#options = options;
  }

  /** The number of batches in an epoch. */
  get length(): number {
    const count = this.dataset.length / this.batchSize;
    return this.#options.dropLast ? Math.floor(count) : Math.ceil(count);
  }

  /** Returns the text that console.log() prints: the options and the number of batches. */
  toString(): string {
    const { shuffle = false, dropLast = false } = this.#options;
    const fields = formatFields({ batchSize: this.batchSize, shuffle, dropLast });
    const samples = formatCount(this.dataset.length, "sample");
    const batches = this.length === 1 ? "1 batch" : `${this.length} batches`;
    return `DataLoader(${samples}, ${fields}, ${batches})`;
  }

  /** @internal */
  [inspectSymbol](): string {
    return this.toString();
  }

  *[Symbol.iterator](): Generator<Batch> {
    for (const indices of this.#batches()) {
      const samples = this.#selectsRows ? null : indices.map((i) => this.dataset.get(i));
      const isPending = samples?.some((sample) => sample instanceof Promise);
      if (isPending) {
        Promise.allSettled(samples as Promise<Sample>[]); // none of them may end the process
        fail("DataLoader: the dataset returns promises; use for await");
      }
      yield this.#collate(indices, samples as Sample[] | null);
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Batch> {
    for (const indices of this.#batches()) {
      const reads = this.#selectsRows ? null : indices.map(async (i) => this.dataset.get(i));
      yield this.#collate(indices, reads && (await Promise.all(reads)));
    }
  }

  /** The indices of each batch of an epoch. */
  *#batches(): Generator<number[]> {
    const { length } = this.dataset;
    const count = this.length; // of this epoch, whatever the dataset's length becomes
    const order = this.#options.shuffle
      ? Array.from(randperm(length).data())
      : Array.from({ length }, (_, i) => i);
    for (let batch = 0; batch < count; batch++)
      yield order.slice(batch * this.batchSize, (batch + 1) * this.batchSize);
  }

  /** True if batches are rows of tensors, which are selected at once instead of one by one. */
  get #selectsRows(): boolean {
    const { dataset } = this;
    const { get } = TensorDataset.prototype;
    return dataset instanceof TensorDataset && dataset.get === get && !this.#options.collate;
  }

  #collate(indices: readonly number[], samples: Sample[] | null): Batch {
    if (!samples) return (this.dataset as unknown as TensorDataset).select(indices) as Batch;
    const { collate = stackSamples } = this.#options;
    return collate(samples as never) as Batch;
  }
}

/** Stacks tensors, or lists of tensors by position. */
function stackSamples(samples: readonly (Tensor | Tensor[])[]): Tensor | Tensor[] {
  const [first] = samples;
  if (first instanceof Tensor) return stack(samples as Tensor[]);
  const isList = Array.isArray(first) && first.every((x) => x instanceof Tensor);
  if (!isList) fail("DataLoader: samples are neither tensors nor lists of them; use collate");
  for (const [i, sample] of samples.entries()) {
    if (!Array.isArray(sample) || sample.length !== first.length)
      fail(
        `DataLoader: sample ${i} of a batch is not a list of ${first.length} tensors; use collate`,
      );
  }
  return first.map((_, i) => stack(samples.map((sample) => (sample as Tensor[])[i])));
}
