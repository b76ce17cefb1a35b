// Arguments that may be written in two ways, as in PyTorch: a list of sizes or the sizes one by
// one, an options object or its first option.

import { checkOptions, describe, fail } from "../errors.ts";
import type { Shape } from "../shape.ts";

/** A list of whole numbers, or the numbers themselves. */
export type SizeArguments = [sizes: Shape] | number[];

/** Returns the numbers as a list. Throws unless it is one. */
export function readSizes(op: string, argument: string, args: SizeArguments): Shape {
  const [first] = args;
  const isList = args.length === 1 && typeof first !== "number";
  const list = isList ? (first as Shape) : (args as number[]);
  if (!Array.isArray(list) || !list.every(Number.isInteger))
    fail(`${op}: ${argument} is ${describe(list)}, expected a list of whole numbers`);
  return list;
}

/** A shape, or its sizes, and then an options object. */
export type ShapeArguments<O> =
  | [shape: Shape, options?: O]
  | [...sizes: number[]]
  | [...sizes: number[], options: O];

/** Returns the shape and the options. */
export function readShape<O extends object>(args: ShapeArguments<O>): [Shape, O] {
  const [first, second] = args;
  if (typeof first !== "number") return [first as Shape, (second ?? {}) as O];
  const last = args.at(-1);
  if (typeof last === "number") return [args as number[], {} as O];
  return [args.slice(0, -1) as number[], (last ?? {}) as O];
}

/** An axis, by itself or as an option. */
export type DimArgument = number | { dim?: number };

/** Returns the axis, or undefined if it was left out. */
export function readDim(op: string, options: DimArgument): number | undefined {
  if (typeof options === "number") return options;
  checkOptions(op, options, ["dim"]);
  return options.dim;
}
