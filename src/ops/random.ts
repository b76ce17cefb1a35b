// Random tensors, samples from weights, and dropout.

import { record } from "../autograd.ts";
import { checkOptions, fail } from "../errors.ts";
import { nextSite, normal, type RngCounter, uniform } from "../random.ts";
import { checkSizes, formatShape, type Shape } from "../shape.ts";
import { checkTensor } from "../tensor/ndarray.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";
import { fromFunction, type TensorOptions, tensor, tensorOptions } from "./creation.ts";

/**
 * Uniform over [0, 1), from the generator's next site.
 * @example
 * const x = rand([2, 3]); // uniform in [0, 1)
 */
export function rand(shape: Shape, options: TensorOptions = {}): Tensor {
  const belowOne = (u: number) => Math.min(Math.fround(u), 1 - 2 ** -24); // where f32 rounds to 1
  return sampleTensor("rand", shape, options, (n, counter) => uniform(n, counter).map(belowOne));
}

/**
 * Standard normal, from the generator's next site.
 * @example
 * const x = randn([2, 3]); // mean 0, standard deviation 1
 */
export function randn(shape: Shape, options: TensorOptions = {}): Tensor {
  return sampleTensor("randn", shape, options, normal);
}

function sampleTensor(
  op: string,
  shape: Shape,
  options: TensorOptions,
  distribution: (n: number, counter: RngCounter) => Float64Array,
): Tensor {
  checkOptions(op, options, tensorOptions);
  checkSizes(op, shape);
  if (options.dtype === "i32") fail(`${op}: dtype is i32, expected floats`);
  return fromFunction(op, shape, options, (n) =>
    distribution(n, { site: nextSite(), stream: "init" }),
  );
}

/**
 * Samples `count` indices without retensorOptions from each row of weights, which need not sum to
 * 1. probs [n] or [rows, n]; returns i32 [count] or [rows, count].
 * @example
 * const ids = multinomial(tensor([[0, 0, 1]]), 1);
 * console.log(ids.toArray()); // [ [ 2 ] ]
 */
export function multinomial(probs: Tensor, count: number): Tensor {
  checkTensor("multinomial", "probs", probs);
  const n = probs.shape.at(-1) ?? 0;
  if (probs.shape.length > 2 || !Number.isInteger(count) || count < 1 || count > n)
    fail(
      `multinomial: probs has shape ${formatShape(probs.shape)}, ` +
        `expected [n] or [rows, n], n >= ${count}`,
    );
  const weights = Float64Array.from(probs.data());
  const rows = probs.size / n;
  const samples = uniform(rows * count, { site: nextSite(), stream: "sample" });
  const indices = Int32Array.from(samples, (u, i) => {
    const start = Math.floor(i / count) * n;
    const row = weights.subarray(start, start + n);
    const index = pick(row, u);
    row[index] = 0; // without retensorOptions
    return index;
  });
  return tensor(indices, { shape: [...probs.shape.slice(0, -1), count], device: probs.device });
}

/**
 * Returns the index at which the running sum of weights exceeds u times their total; 0 <= u < 1.
 */
export function pick(weights: ArrayLike<number>, u: number): number {
  let total = 0;
  for (let i = 0; i < weights.length; i++) {
    if (!(weights[i] >= 0 && weights[i] < Infinity))
      fail(`multinomial: weight ${i} is ${weights[i]}, expected a finite number from 0 up`);
    total += weights[i];
  }
  if (total === 0) fail("multinomial: all weights are 0, expected a positive one");
  let last = 0;
  let sum = 0;
  for (let i = 0; i < weights.length; i++) {
    if (weights[i] === 0) continue;
    sum += weights[i];
    last = i;
    if (u * total < sum) return i;
  }
  return last; // u total was rounded to just above the sum
}

/**
 * Zeroes each element with probability p and multiplies the others by 1 / (1 - p), where p is
 * rounded to 1/65536. Returns x itself if `training` is false. Srivastava et al. (2014).
 * @example
 * const y = dropout(ones([2, 3]), { p: 0.5 }); // each value is 0 or 2
 * console.log(y.shape); // [ 2, 3 ]
 */
export function dropout(x: Tensor, options: { p?: number; training?: boolean } = {}): Tensor {
  checkOptions("dropout", options, ["p", "training"]);
  const { p = 0.5, training = true } = options;
  checkTensor("dropout", "x", x);
  checkProbability("dropout", p);
  if (!training || p === 0) return x;
  const site = nextSite();
  const rngState = x.device.rngState();
  const mask = (values: Tensor) => {
    const y = empty(x);
    x.device.kernels.dropout(values.floats, y.floats, rngState, x.size, site, p);
    return y;
  };
  return record("dropout", mask(x), [x], (dy) => [mask(dy)]); // the same rngState, so the same mask
}

export function checkProbability(op: string, p: number): void {
  if (typeof p !== "number" || !(p >= 0 && p <= 1)) fail(`${op}: p is ${p}, expected 0 to 1`);
}
