// The operands of elementwise ops: numbers, and i32 tensors, which become floats next to floats, as
// in PyTorch. No kernel computes with integers: ops on i32 alone are computed on the host, exactly.

import { describe, fail } from "../errors.ts";
import { numel, type Shape } from "../shape.ts";
import { checkSameKind, checkTensor } from "../tensor/ndarray.ts";
import { empty, Tensor, toDType } from "../tensor/tensor.ts";
import { expandTo } from "./broadcast.ts";

/** An operand of an elementwise op: a number stands for a tensor with that value. */
export type Operand = Tensor | number;

/** Returns a scalar with x's dtype and device. */
export function scalarLike(x: Tensor, value: number): Tensor {
  return empty(x, []).fill(value);
}

/** Returns x itself, or its elements as f32 if they are i32. */
export function toFloats(x: Tensor): Tensor {
  return x.dtype === "i32" ? toDType(x, "f32") : x;
}

/**
 * Converts operands to tensors of the same device and dtype: i32 if both are i32 or whole numbers
 * and `isFloat` is not set, otherwise the dtype of the floats, f32 if there are none. `created` are
 * the tensors that were made for it.
 */
export function toTensors(op: string, left: Operand, right: Operand, isFloat = false) {
  const tensors = [left, right].filter((x) => x instanceof Tensor);
  const reference = tensors.find((x) => x.dtype !== "i32") ?? tensors[0];
  if (!reference)
    fail(`${op}: a and b are ${describe(left)} and ${describe(right)}, expected a tensor`);
  const isFraction = [left, right].some((x) => typeof x === "number" && !isWhole(x));
  const isPromoted = reference.dtype === "i32" && (isFloat || isFraction);
  const dtype = isPromoted ? "f32" : reference.dtype;
  const convert = (argument: string, operand: Operand): Tensor => {
    if (typeof operand === "number") return empty(reference, [], dtype).fill(operand);
    checkTensor(op, argument, operand);
    checkSameKind(op, argument, operand, reference, undefined, [reference.dtype, "i32"]);
    return operand.dtype === "i32" ? toDType(operand, dtype) : operand;
  };
  const a = convert("a", left);
  const b = convert("b", right);
  return { a, b, created: [a, b].filter((x) => x !== left && x !== right) };
}

function isWhole(x: number): boolean {
  return (x | 0) === x;
}

/** Applies a function to each element of i32 operands that broadcast to `shape`, on the host. */
export function mapIntegers(
  fn: (...values: number[]) => number,
  operands: readonly Tensor[],
  shape: Shape = operands[0].shape,
): Tensor {
  const values = operands.map((x) => expandTo(x, shape).data());
  const result = Int32Array.from(values[0], (_, i) => fn(...values.map((list) => list[i])));
  return uploadIntegers(operands[0], result, shape);
}

/**
 * Applies a function to each run of n elements along the middle axis of an i32 tensor, seen as
 * [outer, n, inner], on the host. It returns the elements of the result along that axis.
 */
export function mapIntegerRuns(
  x: Tensor,
  sizes: { outer: number; n: number; inner: number },
  shape: Shape,
  fn: (run: Int32Array) => ArrayLike<number>,
): Tensor {
  const { outer, n, inner } = sizes;
  const values = x.data();
  const result = new Int32Array(numel(shape));
  const count = outer * inner === 0 ? 0 : result.length / (outer * inner);
  for (let o = 0; o < outer * Math.min(inner, 1); o++) {
    for (let i = 0; i < inner; i++) {
      const run = Int32Array.from({ length: n }, (_, j) => values[(o * n + j) * inner + i]);
      const y = fn(run);
      for (let j = 0; j < count; j++) result[(o * count + j) * inner + i] = y[j];
    }
  }
  return uploadIntegers(x, result, shape);
}

/** Returns an i32 tensor on the device of x. */
export function uploadIntegers(x: Tensor, values: Int32Array, shape: Shape): Tensor {
  return new Tensor(x.device.upload("i32", values), shape);
}
