// Reductions: sums, means, variances and maxima, along one axis or over all elements.

import { noGrad, record } from "../autograd.ts";
import { checkOptions, fail } from "../errors.ts";
import { formatShape, normalizeAxis, sizesAround, withAxis } from "../shape.ts";
import { checkTensor } from "../tensor/ndarray.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";
import { expandTo } from "./broadcast.ts";
import { div, mul, sub } from "./elementwise.ts";

/** The axis to reduce, by default all of them, to shape []; `keepdim` keeps it with size 1. */
export interface Reduction {
  dim?: number;
  keepdim?: boolean;
}

/**
 * y = the sum of x along dim
 * @example
 * console.log(sum(tensor([[1, 2], [3, 4]]), { dim: 0 }).toArray()); // [ 4, 6 ]
 */
export function sum(x: Tensor, options: Reduction = {}): Tensor {
  const { outer, n, inner, shape, keptShape } = reductionSizes("sum", x, options);
  const y = empty(x, shape);
  x.device.kernels.sum(x.floats, y.floats, outer, n, inner);
  return record("sum", y, [x], (dy) => [expandTo(dy.detach(keptShape), x.shape)]);
}

/**
 * y = the arithmetic mean of x along dim
 * @example
 * console.log(mean(tensor([1, 2, 3])).item()); // 2
 */
export function mean(x: Tensor, options: Reduction = {}): Tensor {
  const { n } = reductionSizes("mean", x, options);
  return div(sum(x, options), n);
}

/**
 * y = the mean of (x - mean)^2 along dim; `unbiased` divides by n - 1 instead of n.
 * @example
 * console.log(tensor([1, 2, 3]).var({ unbiased: true }).item()); // 1
 */
export function variance(x: Tensor, options: Reduction & { unbiased?: boolean } = {}): Tensor {
  const { unbiased = false, ...where } = options;
  const { n } = reductionSizes("var", x, where);
  // no gradient flows through the mean: its terms cancel, or are infinity - infinity
  const center = noGrad(() => mean(x, { ...where, keepdim: true }));
  const centered = sub(x, center);
  return div(sum(mul(centered, centered), where), unbiased ? Math.max(0, n - 1) : n);
}

/**
 * y = the largest element along dim; the gradient goes to the first of equal elements.
 * @example
 * console.log(max(tensor([[1, 3], [5, 2]]), { dim: 1 }).toArray()); // [ 3, 5 ]
 */
export function max(x: Tensor, options: Reduction = {}): Tensor {
  const { outer, n, inner } = reductionSizes("max", x, options);
  const [y, index] = findMax("max", x, options);
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
 * Returns the index of the largest element along dim, the first of equal ones, as i32.
 * @example
 * console.log(argmax(tensor([[1, 3, 2]]), { dim: 1 }).toArray()); // [ 1 ]
 */
export function argmax(x: Tensor, options: Reduction = {}): Tensor {
  const [y, index] = findMax("argmax", x, options);
  y.free("only the index was requested");
  return index;
}

function findMax(op: string, x: Tensor, options: Reduction): [Tensor, Tensor] {
  const { outer, n, inner, shape } = reductionSizes(op, x, options);
  if (n === 0) fail(`${op}: x has shape ${formatShape(x.shape)}, expected at least one element`);
  const y = empty(x, shape);
  const index = empty(x, shape, "i32");
  x.device.kernels.max(x.floats, y.floats, index.ints, outer, n, inner);
  return [y, index];
}

/**
 * Checks the arguments of a reduction. Returns the sizes of x as [outer, n, inner] around the axis
 * to reduce, the shape of the result, and its shape with that axis keptShape.
 */
function reductionSizes(op: string, x: Tensor, options: Reduction) {
  checkOptions(op, options, ["dim", "keepdim"]);
  checkTensor(op, "x", x);
  const { dim, keepdim = false } = options;
  if (dim === undefined) {
    const keptShape = x.shape.map(() => 1);
    return { outer: 1, n: x.size, inner: 1, keptShape, shape: keepdim ? keptShape : [] };
  }
  const axis = normalizeAxis(op, dim, x.shape.length);
  const keptShape = withAxis(x.shape, axis, 1);
  return {
    ...sizesAround(x.shape, axis),
    keptShape,
    shape: keepdim ? keptShape : withAxis(x.shape, axis),
  };
}
