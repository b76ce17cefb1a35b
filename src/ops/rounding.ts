// Rounding, signs and remainders, elementwise. The derivatives of rounding are 0 everywhere. i32
// stays as it is.

import { record } from "../autograd.ts";
import { fail } from "../errors.ts";
import { broadcast, type Shape } from "../shape.ts";
import { checkTensor } from "../tensor/ndarray.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";
import { expandTo, sumTo } from "./broadcast.ts";
import { eq, ge, gt, lt } from "./comparison.ts";
import { compose } from "./compose.ts";
import { tensor } from "./creation.ts";
import { abs, add, mul, neg, sub } from "./elementwise.ts";
import { mapIntegers, type Operand, scalarLike, toTensors } from "./operands.ts";
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

/**
 * y = a - b floor(a / b): the remainder of a division, which has the sign of b, or NaN where b
 * is 0. It is computed on the host. i32 stays i32, and may not be divided by 0.
 * @example
 * console.log(remainder(tensor([7, -7]), 3).toArray()); // [ 1, 2 ]
 */
export function remainder(left: Operand, right: Operand): Tensor {
  const { a, b, created } = toTensors("remainder", left, right);
  const shape = broadcast("remainder", a.shape, b.shape);
  if (a.dtype === "i32") {
    if (b.data().includes(0)) fail("remainder: b has a 0, expected other whole numbers");
    return mapIntegers((x, divisor) => divide(x, divisor).rest, [a, b], shape);
  }
  const y = mapPairs((x, divisor) => divide(x, divisor).rest, a, b, shape);
  const backward = (dy: Tensor) => {
    const quotient = mapPairs((x, divisor) => divide(x, divisor).quotient, a, b, shape);
    return [
      a.requiresGrad && sumTo(dy, a.shape),
      b.requiresGrad && sumTo(neg(mul(dy, quotient)), b.shape),
    ];
  };
  return record("remainder", y, [a, b], backward, created);
}

/** Returns floor(x / divisor), and what remains of x, with the sign of the divisor. */
function divide(x: number, divisor: number): { quotient: number; rest: number } {
  const rest = x % divisor; // has the sign of x
  if (divisor === 0) return { quotient: x / divisor, rest };
  const quotient = Math.round((x - rest) / divisor);
  const isAdjusted = rest !== 0 && rest < 0 !== divisor < 0;
  return isAdjusted ? { quotient: quotient - 1, rest: rest + divisor } : { quotient, rest };
}

/** Applies a function to each pair of elements of floats that broadcast to `shape`, on the host. */
function mapPairs(
  fn: (x: number, y: number) => number,
  a: Tensor,
  b: Tensor,
  shape: Shape,
): Tensor {
  return compose(() => {
    const others = expandTo(b, shape).data();
    const values = Float64Array.from(expandTo(a, shape).data(), (x, i) => fn(x, others[i]));
    return tensor(values, { shape, dtype: a.dtype, device: a.device });
  });
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
