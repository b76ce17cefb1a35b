// Random tensors, samples from weights, and dropout.

import { record } from "../autograd.ts";
import { checkCount, checkOptions, describe, fail } from "../errors.ts";
import { nextSite, normal, type RngCounter, uniform } from "../random.ts";
import { checkSizes, formatShape, type Shape } from "../shape.ts";
import { checkFloats, checkTensor } from "../tensor/ndarray.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";
import { readShape, type ShapeArguments } from "./arguments.ts";
import { fromFunction, type TensorOptions, tensor, tensorOptions } from "./creation.ts";

/**
 * Uniform over [0, 1), from the generator's next site.
 * @example
 * const x = rand([2, 3]); // uniform in [0, 1)
 */
export function rand(...args: ShapeArguments<TensorOptions>): Tensor {
  const [shape, options] = readShape(args);
  return sampleTensor("rand", shape, options, uniformBelowOne);
}

/**
 * Standard normal, from the generator's next site.
 * @example
 * const x = randn([2, 3]); // mean 0, standard deviation 1
 */
export function randn(...args: ShapeArguments<TensorOptions>): Tensor {
  const [shape, options] = readShape(args);
  return sampleTensor("randn", shape, options, normal);
}

/**
 * Uniform over [0, 1), with the shape, dtype and device of x unless options say otherwise.
 * @example
 * console.log(randLike(zeros([2, 3])).shape); // [ 2, 3 ]
 */
export function randLike(x: Tensor, options: TensorOptions = {}): Tensor {
  checkTensor("randLike", "x", x);
  const like = { dtype: x.dtype, device: x.device };
  return sampleTensor("randLike", x.shape, { ...like, ...options }, uniformBelowOne);
}

/**
 * Standard normal, with the shape, dtype and device of x unless options say otherwise.
 * @example
 * console.log(randnLike(zeros([2, 3])).shape); // [ 2, 3 ]
 */
export function randnLike(x: Tensor, options: TensorOptions = {}): Tensor {
  checkTensor("randnLike", "x", x);
  const like = { dtype: x.dtype, device: x.device };
  return sampleTensor("randnLike", x.shape, { ...like, ...options }, normal);
}

/**
 * Whole numbers from low to high - 1, each as likely, from the generator's next site: randint(high,
 * shape) or randint(low, high, shape). i32 by default.
 * @example
 * const ids = randint(0, 10, [2, 3]); // numbers from 0 to 9
 * console.log(ids.dtype); // i32
 */
export function randint(
  low: number,
  high: number | Shape,
  shape?: Shape | TensorOptions,
  options: TensorOptions = {},
): Tensor {
  if (typeof high !== "number") return randint(0, low, high, shape as TensorOptions);
  for (const [name, bound] of Object.entries({ low, high })) {
    if (!Number.isInteger(bound) || bound < -(2 ** 31) || bound > 2 ** 31)
      fail(`randint: ${name} is ${describe(bound)}, expected a whole number of 32 bits`);
  }
  if (low >= high) fail(`randint: low is ${low}, expected one below high, ${high}`);
  checkOptions("randint", options, tensorOptions);
  checkSizes("randint", shape as Shape);
  return fromFunction("randint", shape as Shape, { dtype: "i32", ...options }, (n) =>
    uniform(n, { site: nextSite(), stream: "init" }).map((u) => low + Math.floor(u * (high - low))),
  );
}

/**
 * The numbers from 0 to n - 1 in a random order (Fisher and Yates), from the generator's next site.
 * i32 by default.
 * @example
 * const order = randperm(5);
 * console.log(order.sort().values.toArray()); // [ 0, 1, 2, 3, 4 ]
 */
export function randperm(n: number, options: TensorOptions = {}): Tensor {
  checkOptions("randperm", options, tensorOptions);
  checkSizes("randperm", [n]);
  return fromFunction("randperm", [n], { dtype: "i32", ...options }, (n) => {
    const samples = uniform(n, { site: nextSite(), stream: "init" });
    const order = new Float64Array(n).map((_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = Math.floor(samples[i] * (i + 1));
      const last = order[i];
      order[i] = order[j];
      order[j] = last;
    }
    return order;
  });
}

/** uniform() without the numbers that f32 rounds to 1. */
function uniformBelowOne(n: number, counter: RngCounter): Float64Array {
  return uniform(n, counter).map((u) => Math.min(Math.fround(u), 1 - 2 ** -24));
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
 * Samples `count` indices from each row of weights, which need not sum to 1; with `replacement` an
 * index may come several times. probs [n] or [rows, n]; returns i32 [count] or [rows, count].
 * @example
 * const ids = multinomial(tensor([[0, 0, 1]]), 1);
 * console.log(ids.toArray()); // [ [ 2 ] ]
 */
export function multinomial(
  probs: Tensor,
  count: number,
  options: { replacement?: boolean } = {},
): Tensor {
  checkTensor("multinomial", "probs", probs);
  checkOptions("multinomial", options, ["replacement"]);
  const { replacement = false } = options;
  const n = probs.shape.at(-1) ?? 0;
  checkCount("multinomial", "count", count);
  if (probs.shape.length > 2 || n < (replacement ? 1 : count))
    fail(
      `multinomial: probs has shape ${formatShape(probs.shape)}, expected [n] or [rows, n], ` +
        (replacement ? "n >= 1" : `n >= ${count}, or replacement: true`),
    );
  const weights = Float64Array.from(probs.data());
  const rows = probs.size / n;
  const samples = uniform(rows * count, { site: nextSite(), stream: "sample" });
  const indices = Int32Array.from(samples, (u, i) => {
    const start = Math.floor(i / count) * n;
    const row = weights.subarray(start, start + n);
    const index = pick(row, u);
    if (!replacement) row[index] = 0;
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
 * rounded to 1/65536. Returns x itself if `training` is false. dropout(x, 0.1) or dropout(x, { p,
 * training }). Srivastava et al. (2014).
 * @example
 * const y = dropout(ones([2, 3]), { p: 0.5 }); // each value is 0 or 2
 * console.log(y.shape); // [ 2, 3 ]
 */
export function dropout(
  x: Tensor,
  options: number | { p?: number; training?: boolean } = {},
): Tensor {
  const all = typeof options === "number" ? { p: options } : options;
  checkOptions("dropout", all, ["p", "training"]);
  const { p = 0.5, training = true } = all;
  checkFloats("dropout", "x", x);
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

export function checkProbability(op: string, p: number, argument = "p"): void {
  if (typeof p !== "number" || !(p >= 0 && p <= 1))
    fail(`${op}: ${argument} is ${describe(p)}, expected 0 to 1`);
}
