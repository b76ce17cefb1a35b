// Tests of numbers. Their results carry no gradient.

import { checkNumber, checkOptions, fail } from "../errors.ts";
import { formatShape, isSameShape } from "../shape.ts";
import { checkSameKind, checkTensor } from "../tensor/ndarray.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { eq, lt, ne } from "./comparison.ts";
import { compose } from "./compose.ts";
import { abs } from "./elementwise.ts";
import { toFloats } from "./operands.ts";

/**
 * y = 1 where x is NaN, otherwise 0, in i32.
 * @example
 * console.log(isnan(tensor([1, NaN])).toArray()); // [ 0, 1 ]
 */
export function isnan(x: Tensor): Tensor {
  checkTensor("isnan", "x", x);
  return ne(x, x);
}

/**
 * y = 1 where x is Infinity or -Infinity, otherwise 0, in i32.
 * @example
 * console.log(isinf(tensor([1, -Infinity])).toArray()); // [ 0, 1 ]
 */
export function isinf(x: Tensor): Tensor {
  checkTensor("isinf", "x", x);
  return compose(() => eq(abs(toFloats(x)), Infinity));
}

/**
 * y = 1 where x is neither infinite nor NaN, otherwise 0, in i32.
 * @example
 * console.log(isfinite(tensor([1, NaN, Infinity])).toArray()); // [ 1, 0, 0 ]
 */
export function isfinite(x: Tensor): Tensor {
  checkTensor("isfinite", "x", x);
  return compose(() => lt(abs(toFloats(x)), Infinity));
}

/**
 * Returns true if |a - b| <= atol + rtol |b| for all elements of two tensors of the same shape,
 * where equal infinities are close, and NaN only to NaN with `equalNan`. Computed on the host.
 * @example
 * console.log(allclose(tensor([1, 2]), tensor([1, 2.000001]))); // true
 */
export function allclose(
  a: Tensor,
  b: Tensor,
  options: { rtol?: number; atol?: number; equalNan?: boolean } = {},
): boolean {
  checkTensor("allclose", "a", a);
  checkSameKind("allclose", "b", b, a);
  checkOptions("allclose", options, ["rtol", "atol", "equalNan"]);
  const { rtol = 1e-5, atol = 1e-8, equalNan = false } = options;
  checkNumber("allclose", "rtol", rtol, 0);
  checkNumber("allclose", "atol", atol, 0);
  if (!isSameShape(a.shape, b.shape))
    fail(`allclose: b has shape ${formatShape(b.shape)}, expected ${formatShape(a.shape)}`);
  const others = b.data();
  return Array.from(a.data()).every((x, i) => {
    const y = others[i];
    if (x === y) return true;
    if (Number.isNaN(x) && Number.isNaN(y)) return equalNan;
    return Number.isFinite(y) && Math.abs(x - y) <= atol + rtol * Math.abs(y);
  });
}
