// The arguments of reductions: which axes, and the sizes of the tensor around them.

import { checkOptions, fail } from "../errors.ts";
import { formatShape, normalizeAxis, numel, sizesAround, withAxis } from "../shape.ts";
import { checkTensor } from "../tensor/ndarray.ts";
import { Tensor } from "../tensor/tensor.ts";

/** The axis to reduce, by default all of them, to shape []; `keepdim` keeps it with size 1. */
export interface Reduction {
  dim?: number;
  keepdim?: boolean;
}

/** The axes to reduce: one, several, or by default all of them. */
export interface AxesReduction {
  dim?: number | readonly number[];
  keepdim?: boolean;
}

/** The arguments of a reduction after x: an options object, or dim and then keepdim. */
export type ReductionArguments<R extends AxesReduction = Reduction> =
  | [options?: R]
  | [dim: NonNullable<R["dim"]>, keepdim?: boolean | Omit<R, "dim">];

/** Returns the arguments of a reduction as an options object. */
export function readReduction<R extends AxesReduction>(op: string, args: ReductionArguments<R>): R {
  const [first, second] = args;
  if (first === undefined || first === null) return {} as R;
  if (typeof first !== "number" && !Array.isArray(first)) {
    if (typeof first !== "object") checkOptions(op, first, ["dim"]); // throws
    if (second !== undefined) fail(`${op}: an argument follows the options, expected none`);
    return first as R;
  }
  const others = typeof second === "boolean" ? { keepdim: second } : second;
  return { ...others, dim: first } as R;
}

/** Returns the axes that `dims` name, all of them if the list is empty. */
export function normalizeAxes(op: string, x: Tensor, dims: readonly number[]): number[] {
  checkTensor(op, "x", x);
  if (dims.length === 0) return x.shape.map((_, axis) => axis);
  const axes = dims.map((dim) => normalizeAxis(op, dim, x.shape.length));
  if (new Set(axes).size < axes.length)
    fail(`${op}: dim is ${formatShape(dims)}, expected each axis once`);
  return axes;
}

/** Returns how many elements each element of a reduction's result comes from. */
export function countReduced(op: string, x: Tensor, { dim, ...others }: AxesReduction): number {
  if (!dim || typeof dim !== "object") return reductionSizes(op, x, { dim, ...others }).n;
  return numel(normalizeAxes(op, x, dim).map((axis) => x.shape[axis]));
}

/** Checks the arguments of a reduction that has no value for no elements. */
export function checkNotEmpty(op: string, x: Tensor, options: Reduction) {
  const sizes = reductionSizes(op, x, options);
  if (sizes.n === 0)
    fail(`${op}: x has shape ${formatShape(x.shape)}, expected at least one element`);
  return sizes;
}

/**
 * Checks the arguments of a reduction. Returns the sizes of x as [outer, n, inner] around the axis
 * to reduce, the shape of the result, and keptShape, where that axis is kept with size 1.
 */
export function reductionSizes(op: string, x: Tensor, options: Reduction) {
  checkTensor(op, "x", x);
  if ((options as unknown) instanceof Tensor)
    fail(`${op}: dim is a tensor, expected a number; maximum() and minimum() compare two tensors`);
  checkOptions(op, options, ["dim", "keepdim"]);
  const { dim, keepdim = false } = options;
  if (dim === undefined || dim === null) {
    const keptShape = x.shape.map(() => 1);
    return { outer: 1, n: x.size, inner: 1, keptShape, shape: keepdim ? keptShape : [] };
  }
  const axis = normalizeAxis(op, dim, x.shape.length);
  const keptShape = withAxis(x.shape, axis, 1);
  return {
    ...sizesAround(x.shape, axis),
    keptShape,
    shape: keepdim ? keptShape : withAxis(x.shape, axis),
  };
}
