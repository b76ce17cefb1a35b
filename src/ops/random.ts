// Random tensors, samples from weights, and dropout.

import { record } from "../autograd.ts";
import { checkOptions, fail } from "../errors.ts";
import { nextSite, normal, type RngCounter, uniform } from "../random.ts";
import { checkSizes, type Shape, show } from "../shape.ts";
import { checkTensor } from "../tensor/ndarray.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";
import { computed, type Placement, placement, tensor } from "./creation.ts";

/**
 * Uniform over [0, 1), from the generator's next site.
 * @example
 * const x = rand([2, 3]); // uniform in [0, 1)
 */
export function rand(shape: Shape, options: Placement = {}): Tensor {
  const belowOne = (u: number) => Math.min(Math.fround(u), 1 - 2 ** -24); // where f32 rounds to 1
  return draw("rand", shape, options, (n, counter) => uniform(n, counter).map(belowOne));
}

/**
 * Standard normal, from the generator's next site.
 * @example
 * const x = randn([2, 3]); // mean 0, standard deviation 1
 */
export function randn(shape: Shape, options: Placement = {}): Tensor {
  return draw("randn", shape, options, normal);
}

function draw(
  op: string,
  shape: Shape,
  options: Placement,
  numbers: (n: number, counter: RngCounter) => Float64Array,
): Tensor {
  checkOptions(op, options, placement);
  checkSizes(op, shape);
  if (options.dtype === "i32") fail(`${op}: dtype is i32, expected floats`);
  const draws = (n: number) => numbers(n, { site: nextSite(), stream: "init" });
  return computed(op, shape, options, draws);
}

/**
 * `count` indices drawn without replacement from each row of weights, which need not sum to 1.
 * probs [n] or [rows, n]; gives i32 [count] or [rows, count].
 * @example
 * const ids = multinomial(tensor([[0, 0, 1]]), 1);
 * console.log(ids.toArray()); // [ [ 2 ] ]
 */
export function multinomial(probs: Tensor, count: number): Tensor {
  checkTensor("multinomial", "probs", probs);
  const n = probs.shape.at(-1) ?? 0;
  if (probs.shape.length > 2 || !Number.isInteger(count) || count < 1 || count > n)
    fail(
      `multinomial: probs has shape ${show(probs.shape)}, expected [n] or [rows, n], n >= ${count}`,
    );
  const weights = Float64Array.from(probs.data());
  const rows = probs.size / n;
  const draws = uniform(rows * count, { site: nextSite(), stream: "sample" });
  const indices = Int32Array.from(draws, (u, i) => {
    const row = weights.subarray(Math.floor(i / count) * n, (Math.floor(i / count) + 1) * n);
    const index = pick(row, u);
    row[index] = 0; // not again
    return index;
  });
  return tensor(indices, { shape: [...probs.shape.slice(0, -1), count], device: probs.device });
}

/** The index at which the running sum of the weights passes u times their total; u in [0, 1). */
export function pick(weights: ArrayLike<number>, u: number): number {
  let total = 0;
  for (let i = 0; i < weights.length; i++) {
    if (!(weights[i] >= 0 && weights[i] < Infinity))
      fail(`multinomial: weight ${i} is ${weights[i]}, expected a finite number from 0 up`);
    total += weights[i];
  }
  if (total === 0) fail("multinomial: all weights are 0, expected a positive one");
  let last = 0;
  for (let i = 0, sum = 0; i < weights.length; i++) {
    if (weights[i] === 0) continue;
    sum += weights[i];
    last = i;
    if (u * total < sum) return i;
  }
  return last; // rounding left u total just above the sum
}

/**
 * Zeroes each element with probability p and multiplies the others by 1 / (1 - p), p being rounded
 * to 1/65536; outside of training it gives x back. Srivastava et al. (2014).
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
