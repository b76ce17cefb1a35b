// Movement ops: elements move, nothing is computed. The derivative moves those of dy back.

import { record } from "../autograd.ts";
import type { Device, DeviceName, DType } from "../backend/device.ts";
import { findDevice } from "../backend/devices.ts";
import { checkOptions, describe, fail } from "../errors.ts";
import { checkSizes, formatShape, normalizeAxis, numel, sizesAround, withAxis } from "../shape.ts";
import { checkFloats, checkIntegers, checkSameKind, checkTensor } from "../tensor/ndarray.ts";
import { empty, Tensor, toDType } from "../tensor/tensor.ts";
import { type DimArgument, readDim, readSizes, type SizeArguments } from "./arguments.ts";

/**
 * Returns the same elements in the same order with another shape, on the same memory. One size may
 * be -1: it follows from the others. reshape(x, [2, 3]) or reshape(x, 2, 3).
 * @example
 * console.log(reshape(arange(6), [2, -1]).shape); // [ 2, 3 ]
 */
export function reshape(x: Tensor, ...args: SizeArguments): Tensor {
  return reshapeAs("reshape", x, args);
}

/** reshape() under the name of the op that the caller knows. */
export function reshapeAs(op: string, x: Tensor, args: SizeArguments): Tensor {
  checkTensor(op, "x", x);
  const shape = readSizes(op, "shape", args);
  const inferred = shape.filter((n) => n === -1).length;
  if (inferred > 1) fail(`${op}: shape is ${formatShape(shape)}, expected at most one -1`);
  checkSizes(
    op,
    shape.map((n) => (n === -1 ? 1 : n)),
  );
  const known = shape.reduce((size, n) => (n === -1 ? size : size * n), 1);
  const sizes = shape.map((n) => (n === -1 ? x.size / known : n));
  if (!sizes.every(Number.isInteger) || numel(sizes) !== x.size)
    fail(
      `${op}: x has shape ${formatShape(x.shape)}, ` +
        `expected one of the size of ${formatShape(shape)}`,
    );
  return record("reshape", x.detach(sizes), [x], (dy) => [dy.detach(x.shape)]);
}

/**
 * y[..., j, ..., i, ...] = x[..., i, ..., j, ...]: swaps two axes.
 * @example
 * console.log(transpose(tensor([[1, 2], [3, 4]]), 0, 1).toArray()); // [ [ 1, 3 ], [ 2, 4 ] ]
 */
export function transpose(x: Tensor, dim0: number, dim1: number): Tensor {
  checkTensor("transpose", "x", x);
  const rank = x.shape.length;
  const i = normalizeAxis("transpose", dim0, rank);
  const j = normalizeAxis("transpose", dim1, rank);
  const dims = x.shape.map((_, axis) => axis);
  dims[i] = j;
  dims[j] = i;
  return record("transpose", permuteAxes(x, dims), [x], (dy) => [permuteAxes(dy, dims)]);
}

/**
 * Axis i of the result is axis dims[i] of x: permute(x, [2, 0, 1]) or permute(x, 2, 0, 1).
 * @example
 * console.log(permute(zeros([2, 3, 4]), [2, 0, 1]).shape); // [ 4, 2, 3 ]
 */
export function permute(x: Tensor, ...args: SizeArguments): Tensor {
  checkTensor("permute", "x", x);
  const dims = readSizes("permute", "dims", args);
  const axes = Array.from(dims, (dim) => normalizeAxis("permute", dim, x.shape.length));
  if (axes.length !== x.shape.length || new Set(axes).size !== axes.length)
    fail(
      `permute: dims are ${formatShape(dims)}, expected each axis of ${formatShape(x.shape)} once`,
    );
  const inverse = axes.map((_, axis) => axes.indexOf(axis));
  return record("permute", permuteAxes(x, axes), [x], (dy) => [permuteAxes(dy, inverse)]);
}

/**
 * Returns elements start to end - 1 of one axis; negative bounds count from its end.
 * @example
 * console.log(slice(arange(6), { dim: 0, start: 2, end: 4 }).toArray()); // [ 2, 3 ]
 */
export function slice(x: Tensor, options: { dim: number; start?: number; end?: number }): Tensor {
  checkOptions("slice", options, ["dim", "start", "end"]);
  checkTensor("slice", "x", x);
  const axis = normalizeAxis("slice", options.dim, x.shape.length);
  const { outer, n, inner } = sizesAround(x.shape, axis);
  const bound = (at: number) => Math.min(n, Math.max(0, at < 0 ? at + n : at));
  const { start: first = 0, end: last = n } = options;
  if (!Number.isInteger(first) || !Number.isInteger(last))
    fail(`slice: start and end are ${first} and ${last}, expected whole numbers`);
  const start = bound(first);
  const count = Math.max(0, bound(last) - start);
  const y = empty(x, withAxis(x.shape, axis, count));
  x.device.kernels.slice(x.buffer, y.buffer, outer, n, inner, start, count);
  return record("slice", y, [x], (dy) => {
    const dx = empty(x).fill(0);
    x.device.kernels.sliceUpdate(dy.buffer, dx.buffer, outer, n, inner, start, count);
    return [dx];
  });
}

/**
 * Concatenates tensors along one axis; their other sizes must be equal. cat(list, dim) or cat(list,
 * { dim }); so for stack and split.
 * @example
 * console.log(cat([tensor([1, 2]), tensor([3])]).toArray()); // [ 1, 2, 3 ]
 */
export function cat(list: readonly Tensor[], options: DimArgument = {}): Tensor {
  const dim = readDim("cat", options) ?? 0;
  checkList("cat", list);
  const [first] = list;
  const axis = normalizeAxis("cat", dim, first.shape.length);
  for (const [i, x] of list.entries()) {
    checkSameKind("cat", `list[${i}]`, x, first);
    const expected = withAxis(first.shape, axis, x.shape[axis]);
    if (formatShape(x.shape) !== formatShape(expected))
      fail(`cat: list[${i}] has shape ${formatShape(x.shape)}, expected ${formatShape(expected)}`);
  }
  const total = list.reduce((sum, x) => sum + x.shape[axis], 0);
  const y = empty(first, withAxis(first.shape, axis, total));
  const { outer, n, inner } = sizesAround(y.shape, axis);
  const starts: number[] = [];
  let start = 0;
  for (const x of list) {
    y.device.kernels.sliceUpdate(x.buffer, y.buffer, outer, n, inner, start, x.shape[axis]);
    starts.push(start);
    start += x.shape[axis];
  }
  return record("cat", y, list, (dy) =>
    list.map((x, i) => slice(dy, { dim: axis, start: starts[i], end: starts[i] + x.shape[axis] })),
  );
}

/**
 * Concatenates tensors of the same shape along a new axis.
 * @example
 * console.log(stack([tensor([1, 2]), tensor([3, 4])]).toArray()); // [ [ 1, 2 ], [ 3, 4 ] ]
 */
export function stack(list: readonly Tensor[], options: DimArgument = {}): Tensor {
  const dim = readDim("stack", options) ?? 0;
  checkList("stack", list);
  const rank = list[0].shape.length;
  const axis = normalizeAxis("stack", dim, rank + 1);
  const unsqueezed = list.map((x) =>
    reshape(x, [...x.shape.slice(0, axis), 1, ...x.shape.slice(axis)]),
  );
  return cat(unsqueezed, { dim: axis });
}

/**
 * Splits x into pieces of `size` along one axis; the last piece may be shorter.
 * @example
 * console.log(split(arange(6), 4).map((part) => part.toArray())); // [ [ 0, 1, 2, 3 ], [ 4, 5 ] ]
 */
export function split(x: Tensor, size: number, options: DimArgument = {}): Tensor[] {
  const dim = readDim("split", options) ?? 0;
  checkTensor("split", "x", x);
  if (!Number.isInteger(size) || size < 1)
    fail(`split: size is ${describe(size)}, expected 1 or more`);
  const axis = normalizeAxis("split", dim, x.shape.length);
  const pieces = Math.max(1, Math.ceil(x.shape[axis] / size));
  return Array.from({ length: pieces }, (_, i) =>
    slice(x, { dim: axis, start: i * size, end: (i + 1) * size }),
  );
}

/**
 * y[..., c] = w[idx[...], c].  idx any shape of i32, w [V, C]; throws if an index is not from 0 to
 * V-1. With `dtype` bf16, y is bf16 although w is f32.
 * @example
 * const table = tensor([[1, 2], [3, 4]]);
 * console.log(embedding(tensor([1, 1, 0], { dtype: "i32" }), table).toArray());
 */
export function embedding(idx: Tensor, w: Tensor, options: { dtype?: DType } = {}): Tensor {
  checkOptions("embedding", options, ["dtype"]);
  checkIntegers("embedding", "idx", idx);
  checkFloats("embedding", "w", w);
  if (w.shape.length !== 2) fail(`embedding: w has shape ${formatShape(w.shape)}, expected [V, C]`);
  const [V, C] = w.shape;
  const y = empty(w, [...idx.shape, C], options.dtype === "bf16" ? "bf16" : w.dtype);
  w.device.kernels.embedding(idx.ints, w.floatsAs(y.dtype), y.floats, idx.size, V, C);
  return record("embedding", y, [idx, w], (dy) => {
    const dw = w.gradBuffer();
    if (!dw) return [null, null];
    w.device.kernels.embeddingBackward(idx.ints, dy.floats, dw.floats, idx.size, V, C);
    return [null, dw];
  });
}

/** Returns x on another device or in another dtype; x itself if nothing changes. */
export function to(x: Tensor, target: DeviceName | Device | DType): Tensor {
  const dtype = ["f32", "f64", "i32", "bf16"].find((name) => name === target) as DType | undefined;
  if (dtype) return cast(x, dtype);
  const targetDevice = findDevice("to", target as DeviceName);
  if (targetDevice === x.device) return x;
  const y = new Tensor(targetDevice.upload(x.dtype, x.data()), x.shape);
  return record("to", y, [x], (dy) => [to(dy, x.device)]);
}

function cast(x: Tensor, dtype: DType): Tensor {
  if (dtype === x.dtype) return x;
  const y = toDType(x, dtype);
  return dtype === "i32" ? y : record("to", y, [x], (dy) => [cast(dy, x.dtype)]);
}

/**
 * Returns x with its axes in another order, without recording. Moves one axis at a time to its
 * target, across the block of axes between; the permutations that models use take one pass.
 */
function permuteAxes(x: Tensor, dims: readonly number[]): Tensor {
  let y = x.detach();
  let order = dims.map((_, axis) => axis); // the axes of x in the order of y
  for (const [to, dim] of dims.entries()) {
    const from = order.indexOf(dim);
    if (from === to) continue;
    const sizes = order.map((axis) => x.shape[axis]);
    order = [...order.slice(0, to), dim, ...order.slice(to).filter((axis) => axis !== dim)];
    const moved = empty(
      x,
      order.map((axis) => x.shape[axis]),
    );
    x.device.kernels.transpose(
      y.buffer,
      moved.buffer,
      numel(sizes.slice(0, to)),
      numel(sizes.slice(to, from)),
      sizes[from],
      numel(sizes.slice(from + 1)),
    );
    y.free("an axis was moved");
    y = moved;
  }
  return y;
}

function checkList(op: string, list: readonly Tensor[]): void {
  if (!Array.isArray(list) || list.length === 0)
    fail(
      `${op}: list is ${list?.length === 0 ? "empty" : typeof list}, expected a list of tensors`,
    );
  for (const [i, x] of list.entries()) checkTensor(op, `list[${i}]`, x);
}
