// Sorting. The order is found on the host; the values are gathered on the device, with a gradient.

import { checkOptions, describe, fail } from "../errors.ts";
import { formatShape, normalizeAxis, sizesAround, withAxis } from "../shape.ts";
import { checkTensor } from "../tensor/ndarray.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { takeElements } from "./indexing.ts";
import { uploadIntegers } from "./operands.ts";

/** The elements of sort() or topk(), and their indices along the axis as i32. */
export interface Sorted {
  /** The elements in order. */
  values: Tensor;
  /** Their places along the axis, i32. */
  indices: Tensor;
}

/**
 * Sorts along dim (default: the last axis), stably, NaN after all numbers: sort(x), sort(x, dim,
 * descending) or sort(x, { dim, descending }).
 * @example
 * const { values, indices } = sort(tensor([3, 1, 2]));
 * console.log(values.toArray(), indices.toArray()); // [ 1, 2, 3 ] [ 1, 2, 0 ]
 */
export function sort(
  x: Tensor,
  options: number | { dim?: number; descending?: boolean } = {},
  descending = false,
): Sorted {
  return sortAs("sort", x, options, descending);
}

/**
 * Returns the indices that sort x along dim: those of sort().
 * @example
 * console.log(argsort(tensor([3, 1, 2])).toArray()); // [ 1, 2, 0 ]
 */
export function argsort(
  x: Tensor,
  options: number | { dim?: number; descending?: boolean } = {},
  descending = false,
): Tensor {
  checkTensor("argsort", "x", x);
  return sortAs("argsort", x.detach(), options, descending).indices;
}

function sortAs(
  op: string,
  x: Tensor,
  options: number | { dim?: number; descending?: boolean },
  descending: boolean,
): Sorted {
  const all = typeof options === "number" ? { dim: options, descending } : options;
  checkOptions(op, all, ["dim", "descending"]);
  return order(op, x, { dim: all.dim, isDescending: all.descending ?? false });
}

/**
 * Returns the k largest elements along dim (default: the last axis), the largest first, or the
 * smallest with `largest: false`: topk(x, k), topk(x, k, dim) or topk(x, k, { dim, largest }).
 * @example
 * console.log(topk(tensor([3, 1, 2]), 2).values.toArray()); // [ 3, 2 ]
 */
export function topk(
  x: Tensor,
  k: number,
  options: number | { dim?: number; largest?: boolean; sorted?: boolean } = {},
): Sorted {
  const all = typeof options === "number" ? { dim: options } : options;
  checkOptions("topk", all, ["dim", "largest", "sorted"]);
  return order("topk", x, { dim: all.dim, isDescending: all.largest ?? true, k });
}

function order(
  op: string,
  x: Tensor,
  { dim = -1, isDescending, k }: { dim?: number; isDescending: boolean; k?: number },
): Sorted {
  checkTensor(op, "x", x);
  const shape = x.shape.length === 0 ? [1] : x.shape;
  const axis = normalizeAxis(op, dim, shape.length);
  const { outer, n, inner } = sizesAround(shape, axis);
  const count = k ?? n;
  if (!Number.isInteger(count) || count < 0 || count > n)
    fail(
      `${op}: k is ${describe(count)}, expected 0 to ${n}, ` +
        `the size along dim of ${formatShape(x.shape)}`,
    );
  const data = x.data();
  const indices = new Int32Array(outer * count * inner);
  const places = new Int32Array(indices.length);
  const sign = isDescending ? -1 : 1;
  for (let o = 0; o < (indices.length === 0 ? 0 : outer); o++) {
    for (let i = 0; i < inner; i++) {
      const place = (j: number) => (o * n + j) * inner + i;
      const sorted = Int32Array.from({ length: n }, (_, j) => j).sort(
        (a, b) => sign * compare(data[place(a)], data[place(b)]) || a - b,
      );
      for (let j = 0; j < count; j++) {
        const at = (o * count + j) * inner + i;
        indices[at] = sorted[j];
        places[at] = place(sorted[j]);
      }
    }
  }
  const resultShape = x.shape.length === 0 ? [] : withAxis(shape, axis, count);
  return {
    values: takeElements(x, places, resultShape),
    indices: uploadIntegers(x, indices, resultShape),
  };
}

/** Compares numbers; NaN is above all of them. */
function compare(a: number, b: number): number {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
  return a < b ? -1 : Number(a > b);
}
