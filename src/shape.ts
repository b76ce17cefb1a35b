// Shape algebra: sizes, axes, broadcasting, and the checks that every op begins with.
// Nothing here knows of tensors; a shape is a list of sizes, outermost first, [] is a scalar.

import { fail } from "./errors.ts";

export type Shape = readonly number[];

/** The number of elements: the product of the sizes, 1 for a scalar. */
export function sizeOf(shape: Shape): number {
  return shape.reduce((size, n) => size * n, 1);
}

/** The axis that `dim` names, counted from the end when negative. */
export function axisOf(op: string, dim: number, rank: number): number {
  const axis = dim < 0 ? dim + rank : dim;
  if (!Number.isInteger(axis) || axis < 0 || axis >= rank) {
    fail(
      `${op}: dim is ${dim}, expected ${rank ? `${-rank} to ${rank - 1}` : "none: x is a scalar"}`,
    );
  }
  return axis;
}

/** A shape seen from one of its axes: x[outer, n, inner], n being the axis' size. */
export function around(shape: Shape, axis: number): { outer: number; n: number; inner: number } {
  const [outer, inner] = [sizeOf(shape.slice(0, axis)), sizeOf(shape.slice(axis + 1))];
  return { outer, n: shape[axis], inner };
}

/** The shape with another size at one axis; without the axis when `n` is left out. */
export function withAxis(shape: Shape, axis: number, ...n: number[]): number[] {
  return [...shape.slice(0, axis), ...n, ...shape.slice(axis + 1)];
}

/**
 * NumPy's broadcasting: shapes are aligned at their last axis; sizes must be equal, or one of them
 * 1. [4, 1] with [6] gives [4, 6].
 */
export function broadcast(op: string, a: Shape, b: Shape): number[] {
  const rank = Math.max(a.length, b.length);
  const [wideA, wideB] = [padTo(rank, a), padTo(rank, b)];
  return wideA.map((n, i) => {
    if (n !== wideB[i] && n !== 1 && wideB[i] !== 1) {
      fail(`${op}: b has shape ${show(b)}, expected one that broadcasts with ${show(a)}`);
    }
    return n === 1 ? wideB[i] : n;
  });
}

/** The shape with leading 1s up to a rank: what broadcasting aligns. */
export function padTo(rank: number, shape: Shape): number[] {
  return [...Array(Math.max(0, rank - shape.length)).fill(1), ...shape];
}

/** True if `shape`, leading 1s aside, is the tail of `whole`: then its elements just repeat. */
export function isTail(shape: Shape, whole: Shape): boolean {
  const core = shape.slice(
    Math.max(
      0,
      shape.findIndex((n) => n !== 1),
    ),
  );
  if (sizeOf(shape) === 1) return true;
  return core.length <= whole.length && same(core, whole.slice(whole.length - core.length));
}

export function same(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((n, i) => n === b[i]);
}

/** How shapes stand in messages: [2, 3]. */
export function show(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}

/** Throws `op: argument has shape X, expected Y` unless the shapes are equal. */
export function checkShape(op: string, argument: string, shape: Shape, expected: Shape): void {
  if (!same(shape, expected)) {
    fail(`${op}: ${argument} has shape ${show(shape)}, expected ${show(expected)}`);
  }
}

/**
 * Throws unless the shape has as many axes as the pattern has letters: `checkRank(op, "q", q,
 * "BHTD")`.
 */
export function checkRank(op: string, argument: string, shape: Shape, pattern: string): void {
  if (shape.length !== pattern.length) {
    fail(`${op}: ${argument} has shape ${show(shape)}, expected [${[...pattern].join(", ")}]`);
  }
}

/** Throws unless every size is a whole number from 0 up, and their product can be counted. */
export function checkSizes(op: string, shape: Shape): void {
  const sound = (n: unknown) => Number.isSafeInteger(n) && (n as number) >= 0;
  if (
    !Array.isArray(shape) ||
    !Array.from(shape).every(sound) ||
    !Number.isSafeInteger(sizeOf(shape))
  ) {
    fail(`${op}: shape is ${JSON.stringify(shape)}, expected a list of whole numbers from 0 up`);
  }
}
