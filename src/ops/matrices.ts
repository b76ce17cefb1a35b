// Matrices by their diagonals: triangles, the identity, and diagonals themselves.

import { checkOptions, fail } from "../errors.ts";
import { checkSizes, formatShape, numel } from "../shape.ts";
import { checkTensor } from "../tensor/ndarray.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { type TensorOptions, tensor, tensorOptions, zeros } from "./creation.ts";
import { scatter, takeElements } from "./indexing.ts";
import { reshape } from "./movement.ts";
import { uploadIntegers } from "./operands.ts";
import { maskedFill } from "./selection.ts";

/** The diagonal: 0 is the main one, positive numbers are above it. */
type Diagonal = number | { diagonal?: number };

/**
 * x with the elements above the given diagonal of its last two axes set to 0; 0 is the main
 * diagonal. tril(x, 1) or tril(x, { diagonal: 1 })
 * @example
 * console.log(tril(ones([3, 3])).toArray()); // [ [ 1, 0, 0 ], [ 1, 1, 0 ], [ 1, 1, 1 ] ]
 */
export function tril(x: Tensor, options: Diagonal = {}): Tensor {
  return triangle("tril", x, options, (row, column, diagonal) => column > row + diagonal);
}

/**
 * x with the elements below the given diagonal of its last two axes set to 0; 0 is the main
 * diagonal. triu(x, 1) or triu(x, { diagonal: 1 })
 * @example
 * console.log(triu(ones([3, 3]), 1).toArray()); // [ [ 0, 1, 1 ], [ 0, 0, 1 ], [ 0, 0, 0 ] ]
 */
export function triu(x: Tensor, options: Diagonal = {}): Tensor {
  return triangle("triu", x, options, (row, column, diagonal) => column < row + diagonal);
}

function triangle(
  op: string,
  x: Tensor,
  options: Diagonal,
  isZero: (row: number, column: number, diagonal: number) => boolean,
): Tensor {
  const diagonal = readDiagonal(op, x, options);
  if (x.shape.length < 2)
    fail(`${op}: x has shape ${formatShape(x.shape)}, expected at least two axes`);
  if (x.size === 0) return maskedFill(x, zeros([], { dtype: "i32", device: x.device }), 0);
  const [rows, columns] = x.shape.slice(-2);
  const mask = Int32Array.from({ length: rows * columns }, (_, i) =>
    Number(isZero(Math.floor(i / columns), i % columns, diagonal)),
  );
  return maskedFill(x, tensor(mask, { shape: [rows, columns], device: x.device }), 0);
}

/**
 * Of a vector: the matrix with it on a diagonal and 0 elsewhere. Of a matrix: its diagonal, as a
 * vector. diag(x, 1) or diag(x, { diagonal: 1 })
 * @example
 * console.log(diag(tensor([1, 2])).toArray()); // [ [ 1, 0 ], [ 0, 2 ] ]
 * console.log(diag(tensor([[1, 2], [3, 4]])).toArray()); // [ 1, 4 ]
 */
export function diag(x: Tensor, options: Diagonal = {}): Tensor {
  const diagonal = readDiagonal("diag", x, options);
  if (x.shape.length !== 1 && x.shape.length !== 2)
    fail(`diag: x has shape ${formatShape(x.shape)}, expected [n] or [n, m]`);
  const isVector = x.shape.length === 1;
  const size = x.size + Math.abs(diagonal);
  const [rows, columns] = isVector ? [size, size] : x.shape;
  const firstRow = Math.max(0, -diagonal);
  const firstColumn = Math.max(0, diagonal);
  const n = Math.max(0, Math.min(rows - firstRow, columns - firstColumn));
  const places = Int32Array.from(
    { length: n },
    (_, i) => (firstRow + i) * columns + firstColumn + i,
  );
  if (!isVector) return takeElements(x, places, [n]);
  const matrix = zeros([numel([rows, columns])], { dtype: x.dtype, device: x.device });
  return reshape(scatter(matrix, 0, uploadIntegers(x, places, [n]), x), [rows, columns]);
}

function readDiagonal(op: string, x: Tensor, options: Diagonal): number {
  checkTensor(op, "x", x);
  const all = typeof options === "number" ? { diagonal: options } : options;
  checkOptions(op, all, ["diagonal"]);
  const { diagonal = 0 } = all;
  if (!Number.isInteger(diagonal))
    fail(`${op}: diagonal is ${String(diagonal)}, expected a whole number`);
  return diagonal;
}

/**
 * The identity matrix [n, n], or [n, m] with ones on the main diagonal: eye(n), eye(n, m).
 * @example
 * console.log(eye(2).toArray()); // [ [ 1, 0 ], [ 0, 1 ] ]
 */
export function eye(n: number, m: number | TensorOptions = n, options: TensorOptions = {}): Tensor {
  checkSizes("eye", [n]);
  if (typeof m === "object" && m !== null) return eye(n, n, m);
  checkOptions("eye", options, tensorOptions);
  checkSizes("eye", [n, m]);
  const { requiresGrad = false, ...others } = options;
  const x = zeros([n, m], others);
  const places = Int32Array.from({ length: Math.min(n, m) }, (_, i) => i * m + i);
  const y = scatter(reshape(x, [-1]), 0, uploadIntegers(x, places, [places.length]), 1);
  const matrix = reshape(y, [n, m]);
  matrix.requiresGrad = requiresGrad;
  return matrix;
}
