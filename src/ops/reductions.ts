// Row ops: each output needs a whole row: sums, maxima, softmax; normalization and the loss are in
// rows/. Those with a kernel of their own carry their meaning in small ops beside them, named
// ...Spec; tests hold the kernel and its gradient to it.

import { record } from "../autograd.ts";
import { checkOptions, fail } from "../errors.ts";
import { around, axisOf, show, withAxis } from "../shape.ts";
import { checkTensor } from "../tensor/ndarray.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";
import { expandTo } from "./broadcast.ts";
import { div, exp, log, mul, sub } from "./elementwise.ts";
import { transpose } from "./movement.ts";

/**
 * Over which axis to reduce: all elements, to shape [], without `dim`; `keepdim` leaves a 1 there.
 */
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
  const { outer, n, inner, shape, kept } = reduction("sum", x, options);
  const y = empty(x, shape);
  x.device.kernels.sum(x.floats, y.floats, outer, n, inner);
  return record("sum", y, [x], (dy) => [expandTo(dy.detach(kept), x.shape)]);
}

/**
 * y = the arithmetic mean of x along dim
 * @example
 * console.log(mean(tensor([1, 2, 3])).item()); // 2
 */
export function mean(x: Tensor, options: Reduction = {}): Tensor {
  const { n } = reduction("mean", x, options);
  return div(sum(x, options), n);
}

/**
 * y = the mean of (x - mean)^2 along dim; `unbiased` divides by n - 1 instead of n.
 * @example
 * console.log(tensor([1, 2, 3]).var({ unbiased: true }).item()); // 1
 */
export function variance(x: Tensor, options: Reduction & { unbiased?: boolean } = {}): Tensor {
  const { unbiased = false, ...where } = options;
  const { n } = reduction("var", x, where);
  const centered = sub(x, mean(x, { ...where, keepdim: true }));
  return div(sum(mul(centered, centered), where), unbiased ? Math.max(0, n - 1) : n);
}

/**
 * y = the largest element along dim; the gradient goes to the first of equals.
 * @example
 * console.log(max(tensor([[1, 3], [5, 2]]), { dim: 1 }).toArray()); // [ 3, 5 ]
 */
export function max(x: Tensor, options: Reduction = {}): Tensor {
  const { outer, n, inner } = reduction("max", x, options);
  const [y, index] = largest("max", x, options);
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
 * The index of the largest element along dim, the first of equals, as i32.
 * @example
 * console.log(argmax(tensor([[1, 3, 2]]), { dim: 1 }).toArray()); // [ 1 ]
 */
export function argmax(x: Tensor, options: Reduction = {}): Tensor {
  const [y, index] = largest("argmax", x, options);
  y.free("only the index is wanted");
  return index;
}

function largest(op: string, x: Tensor, options: Reduction): [Tensor, Tensor] {
  const { outer, n, inner, shape } = reduction(op, x, options);
  if (n === 0) fail(`${op}: x has shape ${show(x.shape)}, expected at least one element`);
  const [y, index] = [empty(x, shape), empty(x, shape, "i32")];
  x.device.kernels.max(x.floats, y.floats, index.ints, outer, n, inner);
  return [y, index];
}

/**
 * y = e^x / sum(e^x) along dim (default: the last axis)
 * @example
 * console.log(softmax(tensor([[1, 1]])).toArray()); // [ [ 0.5, 0.5 ] ]
 */
export function softmax(x: Tensor, options: { dim?: number } = {}): Tensor {
  return alongRows("softmax", x, options);
}

export function softmaxSpec(x: Tensor): Tensor {
  const e = exp(sub(x, max(x, { dim: -1, keepdim: true }).detach()));
  return div(e, sum(e, { dim: -1, keepdim: true }));
}

/**
 * y = x - log(sum(e^x)) along dim (default: the last axis)
 * @example
 * console.log(logSoftmax(tensor([[5]])).toArray()); // [ [ 0 ] ]
 */
export function logSoftmax(x: Tensor, options: { dim?: number } = {}): Tensor {
  return alongRows("logSoftmax", x, options);
}

export function logSoftmaxSpec(x: Tensor): Tensor {
  return log(softmaxSpec(x));
}

/** x as rows of its last axis. */
export function rowsOf(op: string, x: Tensor): [rows: number, n: number] {
  checkTensor(op, "x", x);
  const n = x.shape.at(-1) ?? fail(`${op}: x is a scalar, expected at least one axis`);
  return [n === 0 ? 0 : x.size / n, n];
}

/** An op on rows, along any axis: another than the last is brought to the end, and back. */
function alongRows(op: "softmax" | "logSoftmax", x: Tensor, options: { dim?: number }): Tensor {
  checkOptions(op, options, ["dim"]);
  checkTensor(op, "x", x);
  const axis = axisOf(op, options.dim ?? -1, x.shape.length);
  if (axis < x.shape.length - 1)
    return transpose(alongRows(op, transpose(x, axis, -1), {}), axis, -1);
  const [rows, n] = rowsOf(op, x);
  const y = empty(x);
  x.device.kernels[op](x.floats, y.floats, rows, n);
  return record(op, y, [x], (dy) => {
    const dx = empty(x);
    x.device.kernels[`${op}Backward`](y.floats, dy.floats, dx.floats, rows, n);
    return [dx];
  });
}

/** x seen as [outer, n, inner] around the axis to reduce, and the shape that is left. */
function reduction(op: string, x: Tensor, options: Reduction) {
  checkOptions(op, options, ["dim", "keepdim"]);
  checkTensor(op, "x", x);
  const { dim, keepdim = false } = options;
  if (dim === undefined) {
    const kept = x.shape.map(() => 1);
    return { outer: 1, n: x.size, inner: 1, kept, shape: keepdim ? kept : [] };
  }
  const axis = axisOf(op, dim, x.shape.length);
  const kept = withAxis(x.shape, axis, 1);
  return { ...around(x.shape, axis), kept, shape: keepdim ? kept : withAxis(x.shape, axis) };
}
