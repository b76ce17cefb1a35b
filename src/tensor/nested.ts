// Nested arrays of numbers, with one level of arrays an axis.

import { numel, type Shape } from "../shape.ts";

/** A number, or nested arrays of numbers. */
export type NestedNumbers = number | NestedNumbers[];

/** The type of nested arrays of numbers by their number of axes. */
export interface ArrayOfRank {
  /** A scalar. */
  0: number;
  /** A vector. */
  1: number[];
  /** The rows of a matrix. */
  2: number[][];
  /** [i][j][k] */
  3: number[][][];
  /** [i][j][k][l] */
  4: number[][][][];
  /** [i][j][k][l][m] */
  5: number[][][][][];
}

/** Returns flat values, in the order of rows, as nested arrays of a shape. */
export function nest(flat: ArrayLike<number>, shape: Shape): NestedNumbers {
  const nestPart = ([n, ...inner]: Shape, offset: number): NestedNumbers => {
    if (n === undefined) return flat[offset];
    const size = numel(inner);
    return Array.from({ length: n }, (_, i) => nestPart(inner, offset + i * size));
  };
  return nestPart(shape, 0);
}
