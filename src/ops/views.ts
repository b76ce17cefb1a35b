// The same elements in another shape, repeated, or in another order. Tensors are dense: an op that
// changes only the shape shares memory, every other one copies.

import { record } from "../autograd.ts";
import { checkCount, describe, fail } from "../errors.ts";
import { formatShape, normalizeAxis, numel, withAxis } from "../shape.ts";
import { checkTensor } from "../tensor/ndarray.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";
import { type DimArgument, readDim, readSizes, type SizeArguments } from "./arguments.ts";
import { expandTo, sumTo } from "./broadcast.ts";
import { indexAlong } from "./indexing.ts";
import { cat, reshape, reshapeAs, slice, split } from "./movement.ts";

/**
 * reshape(x, shape) by PyTorch's other name: view(x, 2, -1) or view(x, [2, -1]).
 * @example
 * console.log(view(arange(6), 2, -1).shape); // [ 2, 3 ]
 */
export function view(x: Tensor, ...shape: SizeArguments): Tensor {
  return reshapeAs("view", x, shape);
}

/**
 * Returns a copy of x. Its gradient is that of x.
 * @example
 * const before = clone(ones([2]));
 * console.log(before.toArray()); // [ 1, 1 ]
 */
export function clone(x: Tensor): Tensor {
  checkTensor("clone", "x", x);
  return record("clone", empty(x).assign(x.detach()), [x], (dy) => [dy]);
}

/**
 * Returns part `index` of x along one axis, without that axis: x[index] for dim = 0. A negative
 * index counts from the end.
 * @example
 * console.log(select(tensor([[1, 2], [3, 4]]), 1, -1).toArray()); // [ 2, 4 ]
 */
export function select(x: Tensor, dim: number, index: number): Tensor {
  checkTensor("select", "x", x);
  const axis = normalizeAxis("select", dim, x.shape.length);
  const n = x.shape[axis];
  if (!Number.isInteger(index) || index < -n || index >= n)
    fail(`select: index is ${describe(index)}, expected -${n} to ${n - 1} for axis ${dim}`);
  const start = index < 0 ? index + n : index;
  return reshape(slice(x, { dim: axis, start, end: start + 1 }), withAxis(x.shape, axis));
}

/**
 * Merges the axes from startDim to endDim, by default all of them, into one. A scalar becomes [1].
 * @example
 * console.log(flatten(zeros([2, 3, 4]), 1).shape); // [ 2, 12 ]
 */
export function flatten(x: Tensor, startDim = 0, endDim = -1): Tensor {
  checkTensor("flatten", "x", x);
  const rank = Math.max(1, x.shape.length);
  const start = normalizeAxis("flatten", startDim, rank);
  const end = normalizeAxis("flatten", endDim, rank);
  if (start > end)
    fail(`flatten: endDim is ${endDim}, expected an axis from startDim ${startDim} on`);
  const merged = numel(x.shape.slice(start, end + 1));
  return reshape(x, [...x.shape.slice(0, start), merged, ...x.shape.slice(end + 1)]);
}

/**
 * Removes the axis `dim` if its size is 1, by default every axis of size 1.
 * @example
 * console.log(squeeze(zeros([2, 1, 3, 1])).shape); // [ 2, 3 ]
 * console.log(squeeze(zeros([1, 1, 3]), 0).shape); // [ 1, 3 ]
 */
export function squeeze(x: Tensor, dim?: number): Tensor {
  checkTensor("squeeze", "x", x);
  if (dim === undefined)
    return reshape(
      x,
      x.shape.filter((n) => n !== 1),
    );
  const axis = normalizeAxis("squeeze", dim, Math.max(1, x.shape.length));
  return reshape(x, x.shape[axis] === 1 ? withAxis(x.shape, axis) : x.shape);
}

/**
 * Inserts an axis of size 1 at position `dim`.
 * @example
 * console.log(unsqueeze(zeros([2, 3]), 0).shape, unsqueeze(zeros([2, 3]), -1).shape);
 */
export function unsqueeze(x: Tensor, dim: number): Tensor {
  checkTensor("unsqueeze", "x", x);
  const axis = normalizeAxis("unsqueeze", dim, x.shape.length + 1);
  return reshape(x, [...x.shape.slice(0, axis), 1, ...x.shape.slice(axis)]);
}

/**
 * Repeats axes of size 1 up to a shape, which may have more axes in front; -1 keeps a size:
 * expand(x, 3, -1) or expand(x, [3, -1]). The result is a copy.
 * @example
 * console.log(expand(tensor([[1], [2]]), 2, 3).toArray()); // [ [ 1, 1, 1 ], [ 2, 2, 2 ] ]
 */
export function expand(x: Tensor, ...shape: SizeArguments): Tensor {
  checkTensor("expand", "x", x);
  const sizes = readSizes("expand", "shape", shape);
  const added = sizes.length - x.shape.length;
  const target = sizes.map((n, i) => (n === -1 && i >= added ? x.shape[i - added] : n));
  const fits = (n: number, i: number) => i < added || x.shape[i - added] === n;
  const isSound = (n: number, i: number) =>
    Number.isInteger(n) && n >= 0 && (fits(n, i) || x.shape[i - added] === 1);
  if (added < 0 || !target.every(isSound))
    fail(
      `expand: shape is ${formatShape(sizes)}, ` +
        `expected one that ${formatShape(x.shape)} can be repeated to`,
    );
  return record("expand", expandTo(x.detach(), target), [x], (dy) => [sumTo(dy, x.shape)]);
}

/**
 * Repeats x counts[i] times along each axis; more counts than axes add axes in front: repeat(x, 2,
 * 3) or repeat(x, [2, 3]).
 * @example
 * console.log(repeat(tensor([1, 2]), 2).toArray()); // [ 1, 2, 1, 2 ]
 * console.log(repeat(tensor([1, 2]), 2, 1).toArray()); // [ [ 1, 2 ], [ 1, 2 ] ]
 */
export function repeat(x: Tensor, ...counts: SizeArguments): Tensor {
  checkTensor("repeat", "x", x);
  const times = readSizes("repeat", "counts", counts);
  const added = times.length - x.shape.length;
  if (added < 0 || !times.every((n) => Number.isInteger(n) && n >= 0))
    fail(
      `repeat: counts are ${formatShape(times)}, ` +
        `expected a whole number for each axis of ${formatShape(x.shape)}`,
    );
  const sizes = times.map((_, i) => x.shape[i - added] ?? 1);
  const apart = reshape(
    x,
    sizes.flatMap((n) => [1, n]),
  );
  const repeated = expand(
    apart,
    sizes.flatMap((n, i) => [times[i], n]),
  );
  return reshape(
    repeated,
    sizes.map((n, i) => times[i] * n),
  );
}

/**
 * Splits x into at most `chunks` pieces of equal size along one axis; the last may be shorter:
 * chunk(x, 3), chunk(x, 3, dim) or chunk(x, 3, { dim }).
 * @example
 * console.log(chunk(arange(5), 2).map((part) => part.toArray())); // [ [ 0, 1, 2 ], [ 3, 4 ] ]
 */
export function chunk(x: Tensor, chunks: number, options: DimArgument = {}): Tensor[] {
  checkTensor("chunk", "x", x);
  checkCount("chunk", "chunks", chunks);
  const axis = normalizeAxis("chunk", readDim("chunk", options) ?? 0, x.shape.length);
  const n = x.shape[axis];
  if (n === 0) return Array.from({ length: chunks }, () => reshape(x, x.shape));
  return split(x, Math.ceil(n / chunks), { dim: axis });
}

/**
 * Returns the parts of x along one axis, without that axis.
 * @example
 * const [first, second] = unbind(tensor([[1, 2], [3, 4]]));
 * console.log(first.toArray(), second.toArray()); // [ 1, 2 ] [ 3, 4 ]
 */
export function unbind(x: Tensor, dim = 0): Tensor[] {
  checkTensor("unbind", "x", x);
  const axis = normalizeAxis("unbind", dim, x.shape.length);
  return Array.from({ length: x.shape[axis] }, (_, i) =>
    reshape(slice(x, { dim: axis, start: i, end: i + 1 }), withAxis(x.shape, axis)),
  );
}

/**
 * Reverses the order of elements along axes: flip(x, 0), flip(x, 0, 1) or flip(x, [0, 1]).
 * @example
 * console.log(flip(tensor([1, 2, 3]), 0).toArray()); // [ 3, 2, 1 ]
 */
export function flip(x: Tensor, ...dims: SizeArguments): Tensor {
  checkTensor("flip", "x", x);
  const list = readSizes("flip", "dims", dims);
  const axes = list.map((dim) => normalizeAxis("flip", dim, x.shape.length));
  if (new Set(axes).size < axes.length)
    fail(`flip: dims are ${formatShape(axes)}, expected each axis once`);
  if (axes.length === 0 || x.size === 0) return reshape(x, x.shape);
  let y = x;
  for (const axis of axes) {
    const n = x.shape[axis];
    y = indexAlong(
      y,
      axis,
      Int32Array.from({ length: n }, (_, i) => n - 1 - i),
    );
  }
  return y;
}

/**
 * Moves elements `shifts` places on along axes; those that leave at the end return at the start.
 * Without dims it moves through all elements in order.
 * @example
 * console.log(roll(tensor([1, 2, 3, 4]), 1).toArray()); // [ 4, 1, 2, 3 ]
 */
export function roll(
  x: Tensor,
  shifts: number | readonly number[],
  dims?: number | readonly number[],
): Tensor {
  checkTensor("roll", "x", x);
  const places = [shifts].flat() as number[];
  if (!places.every(Number.isInteger))
    fail(`roll: shifts is ${describe(shifts)}, expected whole numbers`);
  if (dims === undefined) {
    if (places.length !== 1) fail("roll: shifts is a list, expected one number without dims");
    return reshape(rollAxis(flatten(x), places[0], 0), x.shape);
  }
  const axes = ([dims].flat() as number[]).map((dim) => normalizeAxis("roll", dim, x.shape.length));
  if (axes.length !== places.length)
    fail(`roll: shifts has ${places.length} numbers, expected one for each of ${axes.length} dims`);
  return axes.reduce((y, axis, i) => rollAxis(y, places[i], axis), x);
}

function rollAxis(x: Tensor, places: number, axis: number): Tensor {
  const n = x.shape[axis];
  if (n === 0) return reshape(x, x.shape);
  const start = n - (((places % n) + n) % n);
  const front = slice(x, { dim: axis, start });
  return cat([front, slice(x, { dim: axis, end: start })], { dim: axis });
}
