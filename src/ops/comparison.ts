// Comparisons, elementwise. Their results are i32, 1 for true and 0 for false, and carry no
// gradient. Two operands broadcast; NaN is not equal to, above or below anything.

import { record } from "../autograd.ts";
import { checkNumber, fail } from "../errors.ts";
import { broadcast, type Shape } from "../shape.ts";
import { checkTensor } from "../tensor/ndarray.ts";
import { empty, type Tensor, toDType } from "../tensor/tensor.ts";
import { expandTo, sumTo } from "./broadcast.ts";
import { compose } from "./compose.ts";
import { add, div } from "./elementwise.ts";
import { stack } from "./movement.ts";
import { mapIntegers, type Operand, scalarLike, toTensors } from "./operands.ts";
import { where } from "./selection.ts";

/**
 * y = 1 where a = b, otherwise 0
 * @example
 * console.log(eq(tensor([1, 2, 3]), 2).toArray()); // [ 0, 1, 0 ]
 */
export function eq(a: Operand, b: Operand): Tensor {
  return compare("eq", a, b, { less: 0, equal: 1, greater: 0, unordered: 0 });
}

/**
 * y = 1 where a is not b, otherwise 0; NaN differs from NaN.
 * @example
 * console.log(ne(tensor([1, 2, 3]), 2).toArray()); // [ 1, 0, 1 ]
 */
export function ne(a: Operand, b: Operand): Tensor {
  return compare("ne", a, b, { less: 1, equal: 0, greater: 1, unordered: 1 });
}

/**
 * y = 1 where a > b, otherwise 0
 * @example
 * console.log(gt(tensor([1, 2, 3]), 2).toArray()); // [ 0, 0, 1 ]
 */
export function gt(a: Operand, b: Operand): Tensor {
  return compare("gt", a, b, { less: 0, equal: 0, greater: 1, unordered: 0 });
}

/**
 * y = 1 where a < b, otherwise 0
 * @example
 * console.log(lt(tensor([1, 2, 3]), 2).toArray()); // [ 1, 0, 0 ]
 */
export function lt(a: Operand, b: Operand): Tensor {
  return compare("lt", a, b, { less: 1, equal: 0, greater: 0, unordered: 0 });
}

/**
 * y = 1 where a >= b, otherwise 0
 * @example
 * console.log(ge(tensor([1, 2, 3]), 2).toArray()); // [ 0, 1, 1 ]
 */
export function ge(a: Operand, b: Operand): Tensor {
  return compare("ge", a, b, { less: 0, equal: 1, greater: 1, unordered: 0 });
}

/**
 * y = 1 where a <= b, otherwise 0
 * @example
 * console.log(le(tensor([1, 2, 3]), 2).toArray()); // [ 1, 1, 0 ]
 */
export function le(a: Operand, b: Operand): Tensor {
  return compare("le", a, b, { less: 1, equal: 1, greater: 0, unordered: 0 });
}

/**
 * y = the larger of a and b, NaN if one is NaN. Where they are equal, each gets half the gradient.
 * @example
 * console.log(maximum(tensor([1, 5]), tensor([4, 2])).toArray()); // [ 4, 5 ]
 */
export function maximum(a: Operand, b: Operand): Tensor {
  return extremum("maximum", a, b);
}

/**
 * y = the smaller of a and b, NaN if one is NaN. Where they are equal, each gets half the gradient.
 * @example
 * console.log(minimum(tensor([1, 5]), 3).toArray()); // [ 1, 3 ]
 */
export function minimum(a: Operand, b: Operand): Tensor {
  return extremum("minimum", a, b);
}

/** Bounds of clamp(); one that is left out does not apply. */
export interface Bounds {
  /** The lower bound. */
  min?: number;
  /** The upper bound. */
  max?: number;
}

/**
 * y = min(max(x, lower), upper): clamp(x, min, max) or clamp(x, { min, max }). The gradient is 0
 * outside of the bounds, and for NaN.
 * @example
 * console.log(clamp(tensor([-2, 0.5, 3]), 0, 1).toArray()); // [ 0, 0.5, 1 ]
 * console.log(clamp(tensor([-2, 3]), { min: 0 }).toArray()); // [ 0, 3 ]
 */
export function clamp(x: Tensor, min: number | Bounds | null, max?: number | null): Tensor {
  checkTensor("clamp", "x", x);
  const isOptions = typeof min === "object" && min !== null;
  const bounds = isOptions ? min : { min: min ?? undefined, max: max ?? undefined };
  for (const [name, bound] of Object.entries(bounds)) {
    if (name !== "min" && name !== "max") fail(`clamp: unknown option ${name}, expected min, max`);
    if (bound !== undefined) checkNumber("clamp", name, bound);
  }
  if (bounds.min === undefined && bounds.max === undefined)
    fail("clamp: min and max are missing, expected at least one");
  const { min: lower = -Infinity, max: upper = Infinity } = bounds;
  if (x.dtype === "i32")
    return mapIntegers((n) => Math.min(Math.max(n, Math.ceil(lower)), Math.floor(upper)), [x]);
  const y = compose(() => minimum(maximum(x, lower), upper));
  return record("clamp", y, [x], (dy) => [
    where(ge(x, lower), where(le(x, upper), dy, 0), 0), //
  ]);
}

/** One value for each outcome of a comparison. */
type Outcomes<T> = Record<"less" | "equal" | "greater" | "unordered", T>;

/** Returns the outcome's number for each pair of elements, as i32. */
function compare(op: string, left: Operand, right: Operand, outcomes: Outcomes<number>): Tensor {
  const { a, b } = toTensors(op, left, right);
  const shape = broadcast(op, a.shape, b.shape);
  const { less, equal, greater } = outcomes;
  if (a.dtype === "i32")
    return mapIntegers((a, b) => (a < b ? less : a > b ? greater : equal), [a, b], shape);
  return compose(() => {
    const constants = {
      less: scalarLike(a, less),
      equal: scalarLike(a, equal),
      greater: scalarLike(a, greater),
      unordered: scalarLike(a, outcomes.unordered),
    };
    return toDType(select(order(a, b, shape), constants), "i32");
  });
}

/**
 * Masks of how a and b compare, as i32: `isAbove` is 1 where a > b, or where only a is NaN,
 * `isBelow` where b > a, or where only b is NaN, `isUnordered` where either is NaN.
 */
interface Order {
  isAbove: Tensor;
  isBelow: Tensor;
  isUnordered: Tensor;
}

/** Compares a with b, by the kernel max: the index of the maximum of two elements. */
function order(a: Tensor, b: Tensor, shape: Shape): Order {
  const left = expandTo(a, shape);
  const right = expandTo(b, shape);
  const isSecondAbove = (first: Tensor, second: Tensor) => {
    const pair = stack([first, second]);
    const largest = empty(a, shape);
    const index = empty(a, shape, "i32");
    a.device.kernels.max(pair.floats, largest.floats, index.ints, 1, 2, largest.size);
    return { largest, index };
  };
  const { largest, index: isAbove } = isSecondAbove(right, left);
  const { index: isBelow } = isSecondAbove(left, right);
  const infinity = empty(a, shape).fill(Infinity);
  const { index: isUnordered } = isSecondAbove(infinity, largest); // only NaN is above infinity
  return { isAbove, isBelow, isUnordered };
}

/** Returns the value of the outcome at each element. */
function select({ isAbove, isBelow, isUnordered }: Order, values: Outcomes<Tensor>): Tensor {
  const { less, equal, greater, unordered } = values;
  return where(isUnordered, unordered, where(isAbove, greater, where(isBelow, less, equal)));
}

function extremum(op: "maximum" | "minimum", left: Operand, right: Operand): Tensor {
  const { a, b, created } = toTensors(op, left, right);
  const shape = broadcast(op, a.shape, b.shape);
  const isMaximum = op === "maximum";
  if (a.dtype === "i32") return mapIntegers(isMaximum ? Math.max : Math.min, [a, b], shape);
  const choose = (masks: Order, ofA: Tensor, ofB: Tensor, equal: Tensor, unordered: Tensor) => {
    const [greater, less] = isMaximum ? [ofA, ofB] : [ofB, ofA];
    return select(masks, { greater, less, equal, unordered });
  };
  const { y, masks } = compose(() => {
    const masks = order(a, b, shape);
    return { y: choose(masks, a, b, a, add(a, b)), masks };
  });
  const { isAbove, isBelow, isUnordered } = masks;
  const backward = (dy: Tensor) => {
    const zero = scalarLike(dy, 0);
    const shared = div(dy, 2);
    return [
      a.requiresGrad && sumTo(choose(masks, dy, zero, shared, dy), a.shape),
      b.requiresGrad && sumTo(choose(masks, zero, dy, shared, dy), b.shape),
    ];
  };
  const saved = [isAbove, isBelow, isUnordered];
  return record(op, y, [a, b], backward, [...created, ...saved]);
}
