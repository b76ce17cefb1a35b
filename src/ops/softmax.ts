// Softmax and its logarithm.

import { record } from "../autograd.ts";
import { normalizeAxis } from "../shape.ts";
import { checkTensor } from "../tensor/ndarray.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";
import { type DimArgument, readDim } from "./arguments.ts";
import { div, exp, log, sub } from "./elementwise.ts";
import { transpose } from "./movement.ts";
import { max, sum } from "./reductions.ts";
import { rowSizes } from "./rows.ts";

/**
 * y = e^x / sum(e^x) along dim (default: the last axis): softmax(x, 0) or softmax(x, { dim: 0 })
 * @example
 * console.log(softmax(tensor([[1, 1]])).toArray()); // [ [ 0.5, 0.5 ] ]
 */
export function softmax(x: Tensor, options: DimArgument = {}): Tensor {
  return applyToRows("softmax", x, options);
}

/** The reference for softmax(), composed of small ops. */
export function softmaxSpec(x: Tensor): Tensor {
  const e = exp(sub(x, max(x, { dim: -1, keepdim: true }).detach()));
  return div(e, sum(e, { dim: -1, keepdim: true }));
}

/**
 * y = x - log(sum(e^x)) along dim (default: the last axis)
 * @example
 * console.log(logSoftmax(tensor([[5]])).toArray()); // [ [ 0 ] ]
 */
export function logSoftmax(x: Tensor, options: DimArgument = {}): Tensor {
  return applyToRows("logSoftmax", x, options);
}

/** The reference for logSoftmax(), composed of small ops. */
export function logSoftmaxSpec(x: Tensor): Tensor {
  return log(softmaxSpec(x));
}

/** An op on rows along any axis: x is transposed if it is not the last one. */
function applyToRows(op: "softmax" | "logSoftmax", x: Tensor, options: DimArgument): Tensor {
  const dim = readDim(op, options) ?? -1;
  checkTensor(op, "x", x);
  const axis = normalizeAxis(op, dim, x.shape.length);
  if (axis < x.shape.length - 1)
    return transpose(applyToRows(op, transpose(x, axis, -1), {}), axis, -1);
  const [rows, n] = rowSizes(op, x);
  const y = empty(x);
  x.device.kernels[op](x.floats, y.floats, rows, n);
  return record(op, y, [x], (dy) => {
    const dx = empty(x);
    x.device.kernels[`${op}Backward`](y.floats, dy.floats, dx.floats, rows, n);
    return [dx];
  });
}
