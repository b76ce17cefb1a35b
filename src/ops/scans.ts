// Products and cumulative sums along an axis, in a logarithmic number of elementwise passes, and
// norms and log-sum-exp, which are composed of other reductions.

import { record } from "../autograd.ts";
import { checkOptions, describe, fail } from "../errors.ts";
import { normalizeAxis, sizesAround } from "../shape.ts";
import { checkTensor } from "../tensor/ndarray.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";
import { type Reduction, type ReductionArguments, readReduction, reductionSizes } from "./axes.ts";
import { eq, ne } from "./comparison.ts";
import { compose } from "./compose.ts";
import { add, div, exp, log, abs as magnitude, mul, pow, sqrt, sub } from "./elementwise.ts";
import { cat, reshape, slice, to } from "./movement.ts";
import { mapIntegerRuns, toFloats } from "./operands.ts";
import { max, min, sum } from "./reductions.ts";
import { sign } from "./rounding.ts";
import { where } from "./selection.ts";

/**
 * y = the product of x along dim, 1 of no elements. The derivative is exact if elements are 0. A
 * product of i32 is i32.
 * @example
 * console.log(prod(tensor([[1, 2], [3, 4]]), { dim: 1 }).toArray()); // [ 2, 12 ]
 */
export function prod(x: Tensor, ...args: ReductionArguments): Tensor {
  const options = readReduction("prod", args);
  const sizes = reductionSizes("prod", x, options);
  const { outer, n, inner, shape } = sizes;
  if (x.dtype === "i32")
    return mapIntegerRuns(x, sizes, shape, (run) => [run.reduce(Math.imul, 1)]);
  if (n === 0) return record("prod", empty(x, shape).fill(1), [x], () => [empty(x)]);
  let y = reshape(x, [outer, n, inner]);
  while (y.shape[1] > 1) {
    const pairs = Math.floor(y.shape[1] / 2);
    const left = slice(y, { dim: 1, end: pairs });
    const right = slice(y, { dim: 1, start: pairs, end: 2 * pairs });
    const rest = slice(y, { dim: 1, start: 2 * pairs }); // the last of an odd number
    const product = mul(left, right);
    y = rest.size === 0 ? product : cat([product, rest], { dim: 1 });
  }
  return reshape(y, shape);
}

/**
 * y_i = x_0 + ... + x_i along dim: cumsum(x, dim) or cumsum(x, { dim }). Cumulative sums of i32 are
 * i32.
 * @example
 * console.log(cumsum(tensor([1, 2, 3]), 0).toArray()); // [ 1, 3, 6 ]
 */
export function cumsum(x: Tensor, dim: number | { dim: number }): Tensor {
  const options = typeof dim === "number" ? { dim } : dim;
  checkOptions("cumsum", options, ["dim"]);
  checkTensor("cumsum", "x", x);
  if (x.shape.length === 0 && [0, -1].includes(options.dim)) return add(x, 0);
  const axis = normalizeAxis("cumsum", options.dim, x.shape.length);
  if (x.dtype === "i32") {
    const scan = (run: Int32Array) => run.map((_, i) => (run[i] += run[i - 1] ?? 0));
    return mapIntegerRuns(x, sizesAround(x.shape, axis), x.shape, scan);
  }
  return record("cumsum", accumulateAlong(x, axis, false), [x], (dy) => [
    accumulateAlong(dy, axis, true),
  ]);
}

/**
 * Returns the sums of x up to each element along an axis, or from each element on if `isReversed`,
 * without recording. Hillis and Steele (1986): after pass k an element is the sum of 2^k elements.
 */
function accumulateAlong(x: Tensor, axis: number, isReversed: boolean): Tensor {
  const n = x.shape[axis];
  const part = (y: Tensor, start: number, end: number) => slice(y, { dim: axis, start, end });
  return compose(() => {
    let y = add(x, 0);
    for (let shift = 1; shift < n; shift *= 2) {
      const sums = add(part(y, shift, n), part(y, 0, n - shift));
      const rest = isReversed ? part(y, n - shift, n) : part(y, 0, shift);
      y = cat(isReversed ? [sums, rest] : [rest, sums], { dim: axis });
    }
    return y;
  });
}

/**
 * y = log(sum(e^x)) along dim, without overflow: logsumexp(x, dim) or logsumexp(x, { dim })
 * @example
 * console.log(logsumexp(tensor([[1000, 1000]]), 1).item().toFixed(3)); // 1000.693
 */
export function logsumexp(x: Tensor, ...args: ReductionArguments): Tensor {
  const options = readReduction("logsumexp", args);
  const { n, shape, keptShape } = reductionSizes("logsumexp", x, options);
  const input = toFloats(x);
  if (n === 0)
    return record("logsumexp", empty(input, shape).fill(-Infinity), [x], () => [empty(x)]);
  const y = compose(() => {
    const largest = max(input, { ...options, keepdim: true });
    const isInfinite = eq(magnitude(largest), Infinity);
    const center = where(isInfinite, 0, largest);
    const total = sum(exp(sub(input, center)), { ...options, keepdim: true });
    return add(log(total), center).detach(shape);
  });
  return record("logsumexp", y, [x], (dy) => [
    mul(dy.detach(keptShape), exp(sub(x, y.detach(keptShape)))),
  ]);
}

/** Options of norm(): the exponent p, by default 2. */
export interface NormOptions extends Reduction {
  /** The exponent; default 2, Infinity for the largest |x|. */
  p?: number;
}

/**
 * y = (sum(|x|^p))^(1/p) along dim, by default over all elements with p = 2; the largest |x| for p
 * = Infinity, the smallest for -Infinity, the number of elements that are not 0 for p = 0. norm(x),
 * norm(x, p), norm(x, p, { dim }) or norm(x, { p, dim, keepdim }). The derivative at 0 is 0.
 * @example
 * console.log(norm(tensor([3, 4])).item()); // 5
 */
export function norm(
  x: Tensor,
  p: number | NormOptions = 2,
  options: Reduction | number = {},
): Tensor {
  const others = typeof options === "number" ? { dim: options } : options;
  const { p: power = 2, ...where } = typeof p === "object" && p !== null ? p : { ...others, p };
  if (typeof power !== "number" || Number.isNaN(power))
    fail(`norm: p is ${describe(power)}, expected a number`);
  const { n, keptShape } = reductionSizes("norm", x, where);
  const input = toFloats(x);
  if (n === 0 && Math.abs(power) === Infinity)
    fail(`norm: x has no elements, expected at least one with p = ${power}`);
  const y = compose(() => powerSum(input, power, where));
  return record("norm", y, [x], (dy) => [
    mul(normDerivative(x, y.detach(keptShape), power, where), dy.detach(keptShape)),
  ]);
}

/** Returns the norm without recording it. */
function powerSum(x: Tensor, p: number, options: Reduction): Tensor {
  const size = magnitude(x);
  if (p === Infinity) return max(size, options);
  if (p === -Infinity) return min(size, options);
  if (p === 0) return sum(to(ne(x, 0), x.dtype), options);
  if (p === 1) return sum(size, options);
  if (p === 2) return sqrt(sum(mul(x, x), options));
  return pow(sum(pow(size, p), options), 1 / p);
}

/** Returns d y / d x for y = norm(x), its axis kept with size 1. */
function normDerivative(x: Tensor, y: Tensor, p: number, options: Reduction): Tensor {
  const zero = empty(x).fill(0);
  if (p === 0) return zero;
  if (Math.abs(p) === Infinity) {
    const isExtreme = to(eq(magnitude(x), y), x.dtype); // equal elements share the gradient
    const count = sum(isExtreme, { ...options, keepdim: true });
    return mul(sign(x), div(isExtreme, count));
  }
  if (p === 1) return sign(x);
  const ratio = p === 2 ? div(x, y) : mul(sign(x), pow(div(magnitude(x), y), p - 1));
  return where(eq(x, 0), zero, ratio);
}
