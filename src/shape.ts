// Shape algebra: sizes, axes, broadcasting, and the checks that every op begins with.
// Nothing here knows of tensors; a shape is a list of sizes, outermost first, [] is a scalar.

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
export function expectShape(op: string, argument: string, shape: Shape, expected: Shape): void {
  if (!same(shape, expected)) {
    fail(`${op}: ${argument} has shape ${show(shape)}, expected ${show(expected)}`);
  }
}

/**
 * Throws unless the shape has as many axes as the pattern has letters: `expectRank(op, "q", q,
 * "BHTD")`.
 */
export function expectRank(op: string, argument: string, shape: Shape, pattern: string): void {
  if (shape.length !== pattern.length) {
    fail(`${op}: ${argument} has shape ${show(shape)}, expected [${[...pattern].join(", ")}]`);
  }
}

/** Throws unless every size is a whole number from 0 up, and their product can be counted. */
export function expectSizes(op: string, shape: Shape): void {
  const sound = (n: unknown) => Number.isSafeInteger(n) && (n as number) >= 0;
  if (
    !Array.isArray(shape) ||
    !Array.from(shape).every(sound) ||
    !Number.isSafeInteger(sizeOf(shape))
  ) {
    fail(`${op}: shape is ${JSON.stringify(shape)}, expected a list of whole numbers from 0 up`);
  }
}

/** Throws unless a value is a number, of at least `min` if that is given. */
export function expectNumber(op: string, argument: string, value: number, min = -Infinity): void {
  if (typeof value === "number" && (min === -Infinity || value >= min)) return;
  const least = min > -Infinity ? ` from ${min} up` : "";
  fail(`${op}: ${argument} is ${String(value)}, expected a number${least}`);
}

/**
 * Throws if `options` has a key that is not in `known`: a misspelt option never passes in silence.
 */
export function expectOptions(op: string, options: object, known: readonly string[]): void {
  if (typeof options !== "object" || options === null) {
    fail(`${op}: options are ${String(options)}, expected an object such as { ${known[0]}: ... }`);
  }
  for (const key of Object.keys(options)) {
    if (!known.includes(key)) fail(`${op}: unknown option ${key}, expected ${known.join(", ")}`);
  }
}

/** Options without those that are undefined: they count as not given. */
export function defined<T extends object>(options: T): T {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given) as T;
}

// the package, where dist/ and src/ lie, as stacks write it on every system: slashes, no slash
// before C:
const home = decodeURI(new URL("../", import.meta.url).pathname).replace(/^\/(?=\w:)/, "");

/** Throws a TypeError whose stack begins at the caller's line, not inside the library. */
export function fail(message: string): never {
  const error = new TypeError(message);
  const [first, ...frames] = (error.stack ?? "").split("\n");
  const inside = [`${home}dist/`, `${home}src/`, "<anonymous>"];
  const isInside = (frame: string) =>
    inside.some((place) => frame.replaceAll("\\", "/").includes(place));
  const caller = frames.findIndex((frame) => !isInside(frame));
  if (caller > 0) error.stack = [first, ...frames.slice(caller)].join("\n");
  throw error;
}
