// Rounding and signs, elementwise. The derivatives are 0 everywhere. i32 stays as it is.

import { record } from "../autograd.ts";
import { checkTensor } from "../tensor/ndarray.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";
import { eq, ge, gt, lt } from "./comparison.ts";
import { compose } from "./compose.ts";
import { abs, add, neg, sub } from "./elementwise.ts";
import { mapIntegers, scalarLike } from "./operands.ts";
import { where } from "./selection.ts";

/**
 * y = the whole number nearest to x; halves go to the even one.
 * @example
 * console.log(round(tensor([0.4, 0.5, 1.5, -2.7])).toArray()); // [ 0, 0, 2, -3 ]
 */
export function round(x: Tensor): Tensor {
  return step("round", x, roundFloats);
}

/**
 * y = the largest whole number that is at most x
 * @example
 * console.log(floor(tensor([1.7, -1.2])).toArray()); // [ 1, -2 ]
 */
export function floor(x: Tensor): Tensor {
  return step("floor", x, (x) => {
    const nearest = roundFloats(x);
    return where(gt(nearest, x), sub(nearest, 1), nearest);
  });
}

/**
 * y = the smallest whole number that is at least x
 * @example
 * console.log(ceil(tensor([1.2, -1.7])).toArray()); // [ 2, -1 ]
 */
export function ceil(x: Tensor): Tensor {
  return step("ceil", x, (x) => {
    const nearest = roundFloats(x);
    return where(lt(nearest, x), add(nearest, 1), nearest);
  });
}

/**
 * y = 1 where x > 0, -1 where x < 0, otherwise 0, also for NaN
 * @example
 * console.log(sign(tensor([-3, 0, 2])).toArray()); // [ -1, 0, 1 ]
 */
export function sign(x: Tensor): Tensor {
  if (x?.dtype === "i32") return mapIntegers(Math.sign, [x]);
  return step("sign", x, (x) => where(gt(x, 0), 1, where(lt(x, 0), scalarLike(x, -1), 0)));
}

/** Runs a function whose derivative is 0, without recording its parts. */
function step(op: string, x: Tensor, fn: (x: Tensor) => Tensor): Tensor {
  checkTensor(op, "x", x);
  if (x.dtype === "i32") return x;
  const y = compose(() => fn(x));
  return record(op, y, [x], () => [empty(x).fill(0)]);
}

/** The number from which on all floats of a dtype are whole. */
const wholeFrom = { f32: 2 ** 23, f64: 2 ** 52, bf16: 2 ** 7 };

/** Rounds by adding a number so large that the sum has no binary places left. */
function roundFloats(x: Tensor): Tensor {
  const large = wholeFrom[x.dtype as keyof typeof wholeFrom];
  const magnitude = abs(x);
  const nearest = sub(add(magnitude, large), large);
  const rounded = where(lt(x, 0), neg(nearest), nearest);
  const isWhole = eq(nearest, magnitude); // so that -0 stays
  return where(isWhole, x, where(ge(magnitude, large), x, rounded));
}
