// Reductions: sums, means, variances and extrema, along one axis or over all elements.

import { noGrad, record } from "../autograd.ts";
import { checkOptions, fail } from "../errors.ts";
import { scope } from "../scope.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";
import {
  type AxesReduction,
  checkNotEmpty,
  countReduced,
  normalizeAxes,
  type Reduction,
  type ReductionArguments,
  readReduction,
  reductionSizes,
} from "./axes.ts";
import { expandTo } from "./broadcast.ts";
import { eq, gt, ne } from "./comparison.ts";
import { compose } from "./compose.ts";
import { div, mul, neg, sqrt, sub } from "./elementwise.ts";
import { reshape, to } from "./movement.ts";
import { mapIntegerRuns, toFloats } from "./operands.ts";
import { where as select } from "./selection.ts";

/**
 * y = the sum of x along dim, or along several axes: sum(x), sum(x, 0), sum(x, { dim: [0, 1] }). A
 * sum of i32 is i32.
 * @example
 * console.log(sum(tensor([[1, 2], [3, 4]]), { dim: 0 }).toArray()); // [ 4, 6 ]
 */
export function sum(x: Tensor, ...args: ReductionArguments<AxesReduction>): Tensor {
  const { dim, ...others } = readReduction("sum", args);
  if (dim && typeof dim === "object") return sumAxes(x, dim, others);
  const sizes = reductionSizes("sum", x, { dim, ...others });
  const { outer, n, inner, shape, keptShape } = sizes;
  if (x.dtype === "i32")
    return mapIntegerRuns(x, sizes, shape, (run) => [run.reduce((total, n) => total + n, 0)]);
  const y = empty(x, shape);
  x.device.kernels.sum(x.floats, y.floats, outer, n, inner);
  return record("sum", y, [x], (dy) => [expandTo(dy.detach(keptShape), x.shape)]);
}

/** Returns the sum along several axes; all of them if the list is empty. */
function sumAxes(x: Tensor, dims: readonly number[], options: { keepdim?: boolean }): Tensor {
  checkOptions("sum", options, ["keepdim"]);
  const axes = normalizeAxes("sum", x, dims);
  let y = x;
  for (const axis of axes) y = sum(y, { dim: axis, keepdim: true });
  const rest = x.shape.filter((_, axis) => !axes.includes(axis));
  return options.keepdim ? y : reshape(y, rest);
}

/**
 * y = the arithmetic mean of x along dim, or along several axes
 * @example
 * console.log(mean(tensor([1, 2, 3])).item()); // 2
 */
export function mean(x: Tensor, ...args: ReductionArguments<AxesReduction>): Tensor {
  const options = readReduction("mean", args);
  const n = countReduced("mean", x, options);
  return div(sum(toFloats(x), options), n);
}

/** Options of variance() and std(). */
export interface Variance extends AxesReduction {
  /** Divides by n - 1 instead of n. */
  unbiased?: boolean;
}

/**
 * y = the mean of (x - mean)^2 along dim; `unbiased` divides by n - 1 instead of n.
 * @example
 * console.log(tensor([1, 2, 3]).var({ unbiased: true }).item()); // 1
 */
export function variance(x: Tensor, ...args: ReductionArguments<Variance>): Tensor {
  return varianceAs("var", x, args);
}

function varianceAs(op: string, x: Tensor, args: ReductionArguments<Variance>): Tensor {
  if (typeof args[1] === "boolean")
    fail(`${op}: the argument after dim is ${args[1]}, expected { unbiased } or { keepdim }`);
  const { unbiased = false, ...where } = readReduction(op, args);
  const n = countReduced(op, x, where);
  // no gradient flows through the mean: its terms cancel, or are infinity - infinity
  const center = noGrad(() => mean(x, { ...where, keepdim: true }));
  const centered = sub(x, center);
  return div(sum(mul(centered, centered), where), unbiased ? Math.max(0, n - 1) : n);
}

/**
 * y = the standard deviation of x along dim, the square root of var(x): like it, biased unless
 * `unbiased` is set. Its derivative where it is 0 is 0.
 * @example
 * console.log(std(tensor([1, 2, 3]), { unbiased: true }).item()); // 1
 */
export function std(x: Tensor, ...args: ReductionArguments<Variance>): Tensor {
  const y2 = varianceAs("std", x, args);
  const y = compose(() => sqrt(y2));
  return record("std", y, [y2], (dy) => [
    select(eq(y, 0), 0, div(dy, mul(y, 2))), //
  ]);
}

/**
 * y = the largest element along dim; the gradient goes to the first of equal elements.
 * @example
 * console.log(max(tensor([[1, 3], [5, 2]]), { dim: 1 }).toArray()); // [ 3, 5 ]
 */
export function max(x: Tensor, ...args: ReductionArguments): Tensor {
  const { y, index, sizes } = findMax("max", x, readReduction("max", args));
  const { outer, n, inner } = sizes;
  return record(
    "max",
    y,
    [x],
    (dy) => {
      const dx = empty(x);
      x.device.kernels.maxBackward(dy.floats, index.ints, dx.floats, outer, n, inner);
      return [dx];
    },
    [index],
  );
}

/**
 * y = the smallest element along dim, NaN if there is one; the gradient goes to the first of equal
 * elements.
 * @example
 * console.log(min(tensor([[1, 3], [5, 2]]), { dim: 1 }).toArray()); // [ 1, 2 ]
 */
export function min(x: Tensor, ...args: ReductionArguments): Tensor {
  const options = readReduction("min", args);
  const sizes = checkNotEmpty("min", x, options);
  if (x.dtype === "i32") return mapIntegerRuns(x, sizes, sizes.shape, (run) => [smallest(run)]);
  return neg(max(neg(x), options));
}

/**
 * Returns the index of the largest element along dim, the first of equal ones, as i32.
 * @example
 * console.log(argmax(tensor([[1, 3, 2]]), { dim: 1 }).toArray()); // [ 1 ]
 */
export function argmax(x: Tensor, ...args: ReductionArguments): Tensor {
  const { y, index } = findMax("argmax", x, readReduction("argmax", args));
  y.free("only the index was requested");
  return index;
}

/**
 * Returns the index of the smallest element along dim, the first of equal ones, as i32.
 * @example
 * console.log(argmin(tensor([[4, 3, 5]]), { dim: 1 }).toArray()); // [ 1 ]
 */
export function argmin(x: Tensor, ...args: ReductionArguments): Tensor {
  const options = readReduction("argmin", args);
  const sizes = checkNotEmpty("argmin", x, options);
  if (x.dtype === "i32")
    return mapIntegerRuns(x, sizes, sizes.shape, (run) => [run.indexOf(smallest(run))]);
  return noGrad(() => argmax(neg(x), options));
}

/**
 * y = 1 if an element along dim is not 0, otherwise 0, as i32
 * @example
 * console.log(any(tensor([[0, 3], [0, 0]]), { dim: 1 }).toArray()); // [ 1, 0 ]
 */
export function any(x: Tensor, ...args: ReductionArguments<AxesReduction>): Tensor {
  const options = readReduction("any", args);
  countReduced("any", x, options);
  return scope(() => gt(sum(to(ne(x, 0), "f32"), options), 0));
}

/**
 * y = 1 if no element along dim is 0, otherwise 0, as i32
 * @example
 * console.log(all(tensor([[1, 3], [0, 2]]), { dim: 1 }).toArray()); // [ 1, 0 ]
 */
export function all(x: Tensor, ...args: ReductionArguments<AxesReduction>): Tensor {
  const options = readReduction("all", args);
  countReduced("all", x, options);
  return scope(() => eq(sum(to(eq(x, 0), "f32"), options), 0));
}

const largest = (run: Int32Array) => run.reduce((a, b) => Math.max(a, b));
const smallest = (run: Int32Array) => run.reduce((a, b) => Math.min(a, b));

/** Returns the maxima, their indices, and the sizes of the reduction. */
function findMax(op: string, x: Tensor, options: Reduction) {
  const sizes = checkNotEmpty(op, x, options);
  const { outer, n, inner, shape } = sizes;
  if (x.dtype === "i32") {
    const y = mapIntegerRuns(x, sizes, shape, (run) => [largest(run)]);
    const index = mapIntegerRuns(x, sizes, shape, (run) => [run.indexOf(largest(run))]);
    return { y, index, sizes };
  }
  const y = empty(x, shape);
  const index = empty(x, shape, "i32");
  x.device.kernels.max(x.floats, y.floats, index.ints, outer, n, inner);
  return { y, index, sizes };
}
