// Selection by a mask: elements of one tensor or of another.

import { record } from "../autograd.ts";
import { checkNumber } from "../errors.ts";
import { broadcast } from "../shape.ts";
import { checkIntegers, checkTensor } from "../tensor/ndarray.ts";
import { type Backward, empty, type Tensor } from "../tensor/tensor.ts";
import { sumTo, tile } from "./broadcast.ts";
import { mapIntegers, type Operand, scalarLike, toTensors } from "./operands.ts";

/**
 * y = a where cond is not 0, b elsewhere; cond is i32, as comparisons return it. All three
 * broadcast. Of two numbers, y is f32.
 * @example
 * const cond = tensor([1, 0], { dtype: "i32" });
 * console.log(where(cond, tensor([1, 2]), 0).toArray()); // [ 1, 0 ]
 */
export function where(cond: Tensor, yes: Operand, no: Operand): Tensor {
  checkIntegers("where", "cond", cond);
  const areNumbers = typeof yes === "number" && typeof no === "number";
  const left = areNumbers ? empty(cond, [], "f32").fill(yes) : yes;
  const { a, b, created } = toTensors("where", left, no);
  const shape = broadcast("where", broadcast("where", a.shape, b.shape), cond.shape);
  if (a.dtype === "i32") return mapIntegers((c, a, b) => (c ? a : b), [cond, a, b], shape);
  const choose = (a: Tensor, b: Tensor) => {
    const y = empty(a, shape);
    const condTiled = tile(cond, shape);
    const aTiled = tile(a, shape);
    const bTiled = tile(b, shape);
    a.device.kernels.where(
      condTiled.ints,
      aTiled.floats,
      bTiled.floats,
      y.floats,
      condTiled.size,
      aTiled.size,
      bTiled.size,
      y.size,
    );
    for (const operand of [condTiled, aTiled, bTiled]) operand.free("an operand of where");
    return y;
  };
  const backward: Backward = (dy) => [
    false,
    a.requiresGrad && sumTo(choose(dy, scalarLike(dy, 0)), a.shape),
    b.requiresGrad && sumTo(choose(scalarLike(dy, 0), dy), b.shape),
  ];
  return record("where", choose(a, b), [cond, a, b], backward, created);
}

/**
 * x, with `value` wherever the mask (i32) is not 0. Both broadcast.
 * @example
 * const mask = tensor([1, 0], { dtype: "i32" });
 * console.log(maskedFill(tensor([3, 4]), mask, -1).toArray()); // [ -1, 4 ]
 */
export function maskedFill(x: Tensor, mask: Tensor, value: number): Tensor {
  checkTensor("maskedFill", "x", x);
  checkIntegers("maskedFill", "mask", mask);
  checkNumber("maskedFill", "value", value);
  broadcast("maskedFill", x.shape, mask.shape, "mask");
  return where(mask, value, x);
}
