// A tensor as rows of its last axis: softmax, norms and losses work on one row at a time.

import { fail } from "../errors.ts";
import { checkFloats } from "../tensor/ndarray.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** Returns the number of rows of x and their length n; x [..., n]. */
export function rowSizes(op: string, x: Tensor): [rows: number, n: number] {
  checkFloats(op, "x", x);
  const n = x.shape.at(-1) ?? fail(`${op}: x is a scalar, expected at least one axis`);
  return [n === 0 ? 0 : x.size / n, n];
}
