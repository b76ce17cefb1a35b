// Elements by their indices, i32. The kernels are those of embedding: a tensor is a table of its
// elements, and the derivative adds up the gradients of each. The host works out which are meant.

import { record } from "../autograd.ts";
import { checkNumber, fail } from "../errors.ts";
import { formatShape, normalizeAxis, numel, type Shape, sizesAround, withAxis } from "../shape.ts";
import { checkIntegers, checkSameKind, checkTensor } from "../tensor/ndarray.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";
import { cat, embedding, reshape } from "./movement.ts";
import { uploadIntegers } from "./operands.ts";

/**
 * y[.., j, ..] = x[.., index[j], ..] along dim: whole rows, columns or blocks. index [n] of i32, n
 * the size of y along dim; throws if an index is not from 0 to the size of x along dim - 1.
 * @example
 * const x = tensor([[1, 2, 3], [4, 5, 6]]);
 * const index = tensor([2, 0], { dtype: "i32" });
 * console.log(indexSelect(x, 1, index).toArray()); // [ [ 3, 1 ], [ 6, 4 ] ]
 */
export function indexSelect(x: Tensor, dim: number, index: Tensor): Tensor {
  checkTensor("indexSelect", "x", x);
  checkIndex("indexSelect", x, index);
  if (index.shape.length !== 1)
    fail(`indexSelect: index has shape ${formatShape(index.shape)}, expected [n]`);
  const axis = normalizeAxis("indexSelect", dim, x.shape.length);
  const indices = index.data() as Int32Array;
  checkRange("indexSelect", indices, x.shape[axis]);
  return indexAlong(x, axis, indices);
}

/** indexSelect() by valid indices on the host. */
export function indexAlong(x: Tensor, axis: number, indices: Int32Array): Tensor {
  const shape = withAxis(x.shape, axis, indices.length);
  const { n, inner } = sizesAround(x.shape, axis);
  if (axis === 0 && x.dtype !== "i32" && x.size > 0) {
    const index = uploadIntegers(x, indices, [indices.length]);
    return reshape(embedding(index, reshape(x, [n, inner])), shape);
  }
  const places = new Int32Array(numel(shape));
  const count = indices.length;
  for (let i = 0; i < places.length; i++) {
    const block = Math.floor(i / (count * inner));
    const row = indices[Math.floor(i / inner) % count];
    places[i] = (block * n + row) * inner + (i % inner);
  }
  return takeElements(x, places, shape);
}

/**
 * y[i][j][k] = x[i][index[i][j][k]][k] for dim = 1, and likewise for other axes. index of i32 with
 * as many axes as x, none longer than that of x except dim; y has its shape. Throws if an index is
 * not from 0 to the size of x along dim - 1.
 * @example
 * const index = tensor([[2], [0]], { dtype: "i32" });
 * console.log(gather(tensor([[1, 2, 3], [4, 5, 6]]), 1, index).toArray()); // [ [ 3 ], [ 4 ] ]
 */
export function gather(x: Tensor, dim: number, index: Tensor): Tensor {
  return takeElements(x, locate("gather", x, dim, index), index.shape);
}

/**
 * Returns x with y[i][index[i][j][k]][k] = src[i][j][k] for dim = 1, and likewise for other axes:
 * the reverse of gather(). src is a tensor at least as large as index, or a number. Of several
 * elements at the same place the last one remains.
 * @example
 * const index = tensor([[2], [0]], { dtype: "i32" });
 * console.log(scatter(zeros([2, 3]), 1, index, 7).toArray()); // [ [ 0, 0, 7 ], [ 7, 0, 0 ] ]
 */
export function scatter(x: Tensor, dim: number, index: Tensor, src: Tensor | number): Tensor {
  const places = locate("scatter", x, dim, index);
  const from = Int32Array.from({ length: x.size }, (_, i) => i); // into x, then src
  let source: Tensor;
  if (typeof src === "number") {
    source = empty(x, [1]).fill(src);
    for (const place of places) from[place] = x.size;
  } else {
    const positions = locateSource("scatter", x, index, src);
    source = src;
    for (const [i, place] of places.entries()) from[place] = x.size + positions[i];
  }
  return takeElements(cat([reshape(x, [-1]), reshape(source, [-1])]), from, x.shape);
}

/**
 * Like scatter(), but adds: elements of src at the same place are added up, in order.
 * @example
 * const index = tensor([0, 2, 0], { dtype: "i32" });
 * console.log(scatterAdd(zeros([3]), 0, index, ones([3])).toArray()); // [ 2, 0, 1 ]
 */
export function scatterAdd(x: Tensor, dim: number, index: Tensor, src: Tensor): Tensor {
  const places = locate("scatterAdd", x, dim, index);
  const positions = locateSource("scatterAdd", x, index, src);
  if (x.dtype === "i32") {
    const values = x.data() as Int32Array;
    const added = src.data();
    for (const [i, place] of places.entries()) values[place] += added[positions[i]];
    return uploadIntegers(x, values, x.shape);
  }
  const added = takeElements(src, positions, [places.length]);
  const at = uploadIntegers(x, places, [places.length]);
  const y = empty(x);
  x.device.kernels.embeddingBackward(at.ints, added.floats, y.floats, places.length, x.size, 1);
  x.device.kernels.accumulate(x.floats, y.floats, x.size);
  const backward = (dy: Tensor) => [dy, takeElements(dy, places, [places.length])];
  return record("scatterAdd", y, [x, added], backward);
}

/**
 * y[..., c] = 1 if c is idx[...], otherwise 0, as i32. numClasses is by default the largest index +
 * 1; throws if an index is not from 0 to numClasses - 1.
 * @example
 * const ids = tensor([1, 0], { dtype: "i32" });
 * console.log(oneHot(ids, 3).toArray()); // [ [ 0, 1, 0 ], [ 1, 0, 0 ] ]
 */
export function oneHot(idx: Tensor, numClasses?: number): Tensor {
  checkTensor("oneHot", "idx", idx);
  checkIndex("oneHot", idx, idx, "idx");
  const indices = idx.data() as Int32Array;
  const classes = numClasses ?? indices.reduce((most, i) => Math.max(most, i + 1), 0);
  checkNumber("oneHot", "numClasses", classes, 0);
  if (numClasses === undefined && idx.size === 0)
    fail("oneHot: idx is empty, expected at least one index without numClasses");
  checkRange("oneHot", indices, classes, "idx");
  const shape = [...idx.shape, classes];
  const y = new Int32Array(numel(shape));
  for (const [i, index] of indices.entries()) y[i * classes + index] = 1;
  return uploadIntegers(idx, y, shape);
}

/** Returns the elements at `places` of the flattened x, in a shape. */
export function takeElements(x: Tensor, places: Int32Array, shape: Shape): Tensor {
  if (x.dtype === "i32") {
    const values = x.data();
    return uploadIntegers(
      x,
      Int32Array.from(places, (place) => values[place]),
      shape,
    );
  }
  const table = reshape(x, [x.size, 1]);
  return reshape(embedding(uploadIntegers(x, places, [places.length]), table), shape);
}

function checkIndex(op: string, x: Tensor, index: Tensor, argument = "index"): void {
  checkIntegers(op, argument, index);
  checkSameKind(op, argument, index, x, undefined, ["i32"]);
}

function checkRange(op: string, indices: Int32Array, n: number, argument = "index"): void {
  const wrong = indices.findIndex((index) => index < 0 || index >= n);
  if (wrong >= 0)
    fail(`${op}: ${argument} has ${indices[wrong]} at element ${wrong}, expected 0 to ${n - 1}`);
}

/** Returns where each index of gather() or scatter() points to in the flattened x. */
function locate(op: string, x: Tensor, dim: number, index: Tensor): Int32Array {
  checkTensor(op, "x", x);
  checkIndex(op, x, index);
  const axis = normalizeAxis(op, dim, x.shape.length);
  const isTooLong = (n: number, i: number) => i !== axis && n > x.shape[i];
  if (index.shape.length !== x.shape.length || (index.size > 0 && index.shape.some(isTooLong)))
    fail(
      `${op}: index has shape ${formatShape(index.shape)}, ` +
        `expected at most ${formatShape(x.shape)}, except along dim ${axis}`,
    );
  const indices = index.data() as Int32Array;
  checkRange(op, indices, x.shape[axis]);
  return positionsIn(x.shape, index.shape, (position, i) => {
    position[axis] = indices[i];
  });
}

/** Returns where the element of src for each index is in the flattened src. */
function locateSource(op: string, x: Tensor, index: Tensor, src: Tensor): Int32Array {
  checkSameKind(op, "src", src, x);
  const isTooShort = index.shape.some((n, axis) => n > src.shape[axis]);
  if (src.shape.length !== index.shape.length || isTooShort)
    fail(
      `${op}: src has shape ${formatShape(src.shape)}, ` +
        `expected at least that of index, ${formatShape(index.shape)}`,
    );
  return positionsIn(src.shape, index.shape, () => undefined);
}

/**
 * Returns the place in a flattened tensor of shape `whole` for each position in `part`, after
 * `change` has changed the position of the i-th.
 */
function positionsIn(
  whole: Shape,
  part: Shape,
  change: (position: number[], i: number) => void,
): Int32Array {
  return Int32Array.from({ length: numel(part) }, (_, i) => {
    const position: number[] = [];
    let rest = i;
    for (let axis = part.length - 1; axis >= 0; axis--) {
      position[axis] = rest % part[axis];
      rest = Math.floor(rest / part[axis]);
    }
    change(position, i);
    return position.reduce((place, at, axis) => place * whole[axis] + at, 0);
  });
}
