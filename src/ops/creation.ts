// Where tensors come from: host data, constants, random numbers.

import {
  type Buffer,
  type Device,
  type DeviceName,
  type DType,
  defaultDevice,
  device,
} from "../backend/device.ts";
import { checkNumber, checkOptions, fail } from "../errors.ts";
import { nextSite, normal, type Place, uniform } from "../random.ts";
import { checkSizes, type Shape, show, sizeOf } from "../shape.ts";
import { checkTensor } from "../tensor/ndarray.ts";
import { Tensor } from "../tensor/tensor.ts";
import { maskedFill } from "./elementwise.ts";

/** Where and how a tensor is made: f32 on the default device unless said otherwise. */
export interface Placement {
  dtype?: DType;
  device?: DeviceName | Device;
  requiresGrad?: boolean;
}

/** Numbers in arrays in arrays, or a single number. */
export type Nested = number | readonly Nested[];

const placement = ["dtype", "device", "requiresGrad"];

/**
 * A tensor with a copy of the values: nested arrays, whose nesting is the shape, or a typed array,
 * with the shape beside it. f32, unless the typed array is of doubles (f64) or of integers (i32).
 */
export function tensor(
  values: Nested | ArrayBufferView,
  options: Placement & { shape?: Shape } = {},
): Tensor {
  checkOptions("tensor", options, ["shape", ...placement]);
  if ([DataView, BigInt64Array, BigUint64Array].some((odd) => values instanceof odd))
    fail(`tensor: values is a ${values.constructor.name}, expected numbers`);
  const elements = ArrayBuffer.isView(values) ? (values as Float32Array) : flatten(values);
  const nested = ArrayBuffer.isView(values) ? [elements.length] : nesting(values);
  const shape = options.shape ?? nested;
  checkSizes("tensor", shape);
  if (sizeOf(shape) !== elements.length)
    fail(`tensor: values has ${elements.length} elements, expected those of ${show(shape)}`);
  return place("tensor", elements, shape, { ...options, dtype: options.dtype ?? dtypeOf(values) });
}

/** All elements 0. */
export function zeros(shape: Shape, options: Placement = {}): Tensor {
  return full(shape, 0, options);
}

/** All elements 1. */
export function ones(shape: Shape, options: Placement = {}): Tensor {
  return full(shape, 1, options);
}

/** All elements `value`. */
export function full(shape: Shape, value: number, options: Placement = {}): Tensor {
  checkOptions("full", options, placement);
  checkNumber("full", "value", value);
  checkSizes("full", shape);
  const where = device(options.device ?? defaultDevice());
  const x = new Tensor(where.empty(options.dtype ?? "f32", sizeOf(shape)), [...shape]).fill(value);
  return demanding("full", x, options);
}

/**
 * start, start + 1, ... up to but not including end: arange(end) or arange(start, end). i32, or f32
 * if a bound is no whole number.
 */
export function arange(start: number, end?: number | Placement, options: Placement = {}): Tensor {
  if (typeof end !== "number") {
    checkNumber("arange", "end", start);
    return arange(0, start, end);
  }
  checkOptions("arange", options, placement);
  checkNumber("arange", "start", start);
  checkNumber("arange", "end", end);
  const n = Math.max(0, Math.ceil(end - start));
  checkSizes("arange", [n]);
  const dtype = options.dtype ?? (Number.isInteger(start) && Number.isInteger(end) ? "i32" : "f32");
  const count = (n: number) => new Float64Array(n).map((_, i) => start + i);
  return computed("arange", [n], { ...options, dtype }, count);
}

/** Uniform over [0, 1), from the generator's next site. */
export function rand(shape: Shape, options: Placement = {}): Tensor {
  const belowOne = (u: number) => Math.min(Math.fround(u), 1 - 2 ** -24); // where f32 rounds to 1
  return draw("rand", shape, options, (n, place) => uniform(n, place).map(belowOne));
}

/** Standard normal, from the generator's next site. */
export function randn(shape: Shape, options: Placement = {}): Tensor {
  return draw("randn", shape, options, normal);
}

/**
 * x with the elements above the given diagonal of its last two axes set to 0; 0 is the main
 * diagonal.
 */
export function tril(x: Tensor, options: { diagonal?: number } = {}): Tensor {
  checkOptions("tril", options, ["diagonal"]);
  checkTensor("tril", "x", x);
  const { diagonal = 0 } = options;
  checkNumber("tril", "diagonal", diagonal);
  if (x.shape.length < 2) fail(`tril: x has shape ${show(x.shape)}, expected at least two axes`);
  const [rows, columns] = x.shape.slice(-2);
  const isAbove = (_: unknown, i: number) =>
    i % columns > Math.floor(i / columns) + diagonal ? 1 : 0;
  const mask = Int32Array.from({ length: rows * columns }, isAbove);
  return maskedFill(x, tensor(mask, { shape: [rows, columns], device: x.device }), 0);
}

function draw(
  op: string,
  shape: Shape,
  options: Placement,
  numbers: (n: number, place: Place) => Float64Array,
): Tensor {
  checkOptions(op, options, placement);
  checkSizes(op, shape);
  if (options.dtype === "i32") fail(`${op}: dtype is i32, expected floats`);
  const draws = (n: number) => numbers(n, { site: nextSite(), stream: "init" });
  return computed(op, shape, options, draws);
}

/** Takes the memory before it computes what goes there: too much is refused at once. */
function computed(
  op: string,
  shape: Shape,
  options: Placement,
  values: (n: number) => Float64Array,
): Tensor {
  const x = zeros(shape, options);
  const made = place(op, values(x.size), shape, { dtype: x.dtype, device: x.device });
  x.assign(made);
  made.free("copied");
  return x;
}

function place(op: string, values: ArrayLike<number>, shape: Shape, options: Placement): Tensor {
  const where = device(options.device ?? defaultDevice());
  if (options.dtype === "i32") checkIntegers(op, values);
  const x = new Tensor(where.upload(options.dtype ?? "f32", values), shape);
  return demanding(op, x, options);
}

function checkIntegers(op: string, values: ArrayLike<number>): void {
  if (values instanceof Int32Array) return;
  for (let i = 0; i < values.length; i++)
    if ((values[i] | 0) !== values[i])
      fail(`${op}: element ${i} is ${values[i]}, expected a whole number of 32 bits`);
}

function demanding(op: string, x: Tensor, { requiresGrad = false }: Placement): Tensor {
  if (requiresGrad && x.dtype === "i32")
    fail(`${op}: dtype is i32, expected floats for a gradient`);
  x.requiresGrad = requiresGrad;
  return x;
}

function dtypeOf(values: unknown): DType {
  if (values instanceof Float64Array) return "f64";
  return ArrayBuffer.isView(values) && !(values instanceof Float32Array) ? "i32" : "f32";
}

/**
 * The shape of nested arrays; throws where rows are of unequal shapes or an element is no number.
 */
function nesting(values: unknown): number[] {
  if (typeof values === "number") return [];
  if (!Array.isArray(values))
    return fail(`tensor: values has a ${typeof values}, expected numbers`);
  const rows = Array.from(values, nesting); // sees holes too
  const odd = rows.find((row) => show(row) !== show(rows[0]));
  if (odd) fail(`tensor: values has rows of shapes ${show(rows[0])} and ${show(odd)}`);
  return [values.length, ...(rows[0] ?? [])];
}

function flatten(values: Nested): readonly number[] {
  return typeof values === "number"
    ? [values]
    : Array.isArray(values)
      ? values.flatMap(flatten)
      : [];
}

/** The values of a tensor as nested arrays. */
export function toArray(x: Tensor): Nested {
  const nest = (flat: Buffer, [n, ...inner]: Shape): Nested => {
    if (n === undefined) return flat[0];
    const size = sizeOf(inner);
    return Array.from({ length: n }, (_, i) =>
      nest(flat.subarray(i * size, (i + 1) * size), inner),
    );
  };
  return nest(x.data(), x.shape);
}

/**
 * `count` indices drawn without replacement from each row of weights, which need not sum to 1.
 * probs [n] or [rows, n]; gives i32 [count] or [rows, count].
 */
export function multinomial(probs: Tensor, count: number): Tensor {
  checkTensor("multinomial", "probs", probs);
  const n = probs.shape.at(-1) ?? 0;
  if (probs.shape.length > 2 || !Number.isInteger(count) || count < 1 || count > n)
    fail(
      `multinomial: probs has shape ${show(probs.shape)}, expected [n] or [rows, n], n >= ${count}`,
    );
  const weights = Float64Array.from(probs.data());
  const rows = probs.size / n;
  const draws = uniform(rows * count, { site: nextSite(), stream: "sample" });
  const indices = Int32Array.from(draws, (u, i) => {
    const row = weights.subarray(Math.floor(i / count) * n, (Math.floor(i / count) + 1) * n);
    const index = pick(row, u);
    row[index] = 0; // not again
    return index;
  });
  return tensor(indices, { shape: [...probs.shape.slice(0, -1), count], device: probs.device });
}

/** The index at which the running sum of the weights passes u times their total; u in [0, 1). */
export function pick(weights: ArrayLike<number>, u: number): number {
  let total = 0;
  for (let i = 0; i < weights.length; i++) {
    if (!(weights[i] >= 0 && weights[i] < Infinity))
      fail(`multinomial: weight ${i} is ${weights[i]}, expected a finite number from 0 up`);
    total += weights[i];
  }
  if (total === 0) fail("multinomial: all weights are 0, expected a positive one");
  let last = 0;
  for (let i = 0, sum = 0; i < weights.length; i++) {
    if (weights[i] === 0) continue;
    sum += weights[i];
    last = i;
    if (u * total < sum) return i;
  }
  return last; // rounding left u total just above the sum
}
