// Shape arithmetic: sizes, axes, broadcasting, and the checks of ops' arguments. A shape is a list
// of sizes, outermost first; [] is a scalar.

import { describe, fail } from "./errors.ts";

export type Shape = readonly number[];

/** Returns the number of elements: the product of the sizes, 1 for a scalar. */
export function numel(shape: Shape): number {
  return shape.reduce((size, n) => size * n, 1);
}

/** Returns the axis that `dim` names; a negative `dim` counts from the end. */
export function normalizeAxis(op: string, dim: number, rank: number): number {
  const axis = Number.isInteger(dim) && dim < 0 ? dim + rank : dim;
  if (Number.isInteger(axis) && axis >= 0 && axis < rank) return axis;
  const range = rank > 0 ? `${-rank} to ${rank - 1}` : "none: x is a scalar";
  fail(`${op}: dim is ${describe(dim)}, expected ${range}`);
}

/** Returns a shape as [outer, n, inner] around an axis of size n. */
export function sizesAround(
  shape: Shape,
  axis: number,
): { outer: number; n: number; inner: number } {
  return {
    outer: numel(shape.slice(0, axis)),
    n: shape[axis],
    inner: numel(shape.slice(axis + 1)),
  };
}

/** Returns the shape with another size at one axis, or without the axis if `n` is left out. */
export function withAxis(shape: Shape, axis: number, ...n: number[]): number[] {
  return [...shape.slice(0, axis), ...n, ...shape.slice(axis + 1)];
}

/**
 * Returns the shape that two shapes broadcast to, as in NumPy: they are aligned at their last axis,
 * and two sizes must be equal unless one of them is 1. [4, 1] and [6] broadcast to [4, 6].
 * `argument` is the name of b in messages.
 */
export function broadcast(op: string, a: Shape, b: Shape, argument = "b"): number[] {
  const rank = Math.max(a.length, b.length);
  const bPadded = padTo(rank, b);
  return padTo(rank, a).map((n, i) => {
    if (n !== bPadded[i] && n !== 1 && bPadded[i] !== 1)
      fail(
        `${op}: ${argument} has shape ${formatShape(b)}, ` +
          `expected one that broadcasts with ${formatShape(a)}`,
      );
    return n === 1 ? bPadded[i] : n;
  });
}

/** Returns the shape with leading 1s up to a rank. */
export function padTo(rank: number, shape: Shape): number[] {
  return [...Array(Math.max(0, rank - shape.length)).fill(1), ...shape];
}

/** Returns true if `shape`, without leading 1s, is a suffix of `whole`: its elements repeat. */
export function isSuffix(shape: Shape, whole: Shape): boolean {
  if (numel(shape) === 1) return true;
  const firstAxis = shape.findIndex((n) => n !== 1);
  const core = shape.slice(firstAxis);
  return core.length <= whole.length && isSameShape(core, whole.slice(whole.length - core.length));
}

export function isSameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((n, i) => n === b[i]);
}

/** Formats a shape for messages: [2, 3]. */
export function formatShape(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}

/** Throws `op: argument has shape X, expected Y` unless the shapes are equal. */
export function checkShape(op: string, argument: string, shape: Shape, expected: Shape): void {
  if (!isSameShape(shape, expected)) {
    fail(`${op}: ${argument} has shape ${formatShape(shape)}, expected ${formatShape(expected)}`);
  }
}

/**
 * Throws unless the shape has as many axes as the pattern has letters: `checkRank(op, "q", q,
 * "BHTD")`.
 */
export function checkRank(op: string, argument: string, shape: Shape, pattern: string): void {
  if (shape.length !== pattern.length) {
    fail(
      `${op}: ${argument} has shape ${formatShape(shape)}, expected [${[...pattern].join(", ")}]`,
    );
  }
}

/** Throws unless every size is a whole number from 0 up, and their product can be counted. */
export function checkSizes(op: string, shape: Shape): void {
  const sound = (n: unknown) => Number.isSafeInteger(n) && (n as number) >= 0;
  if (
    !Array.isArray(shape) ||
    !Array.from(shape).every(sound) ||
    !Number.isSafeInteger(numel(shape))
  ) {
    fail(`${op}: shape is ${describe(shape)}, expected a list of whole numbers from 0 up`);
  }
}
