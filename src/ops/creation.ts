// Creates tensors from host data and constants.

import type { Device, DeviceName, DType } from "../backend/device.ts";
import { defaultDevice, device } from "../backend/devices.ts";
import { checkNumber, checkOptions, fail } from "../errors.ts";
import { checkSizes, formatShape, numel, type Shape } from "../shape.ts";
import { checkTensor } from "../tensor/ndarray.ts";
import { Tensor } from "../tensor/tensor.ts";
import { readShape, type ShapeArguments } from "./arguments.ts";

/** Options of a new tensor: by default f32, on the default device, without a gradient. */
export interface TensorOptions {
  dtype?: DType;
  device?: DeviceName | Device;
  requiresGrad?: boolean;
}

/** A number, or nested arrays of numbers. */
export type Nested = number | readonly Nested[];

/** The options that every function of this file takes. */
export const tensorOptions = ["dtype", "device", "requiresGrad"];

/**
 * Returns a tensor with a copy of the values: nested arrays, whose nesting is the shape, or a typed
 * array with `shape`. The dtype is f32 by default, f64 for a Float64Array and i32 for integer
 * arrays.
 * @example
 * const x = tensor([[1, 2], [3, 4]], { dtype: "f32", requiresGrad: true });
 * console.log(x.shape); // [ 2, 2 ]
 */
export function tensor(
  values: Nested | ArrayBufferView,
  options: TensorOptions & { shape?: Shape } = {},
): Tensor {
  checkOptions("tensor", options, ["shape", ...tensorOptions]);
  if ([DataView, BigInt64Array, BigUint64Array].some((odd) => values instanceof odd))
    fail(`tensor: values is a ${values.constructor.name}, expected numbers`);
  const elements = ArrayBuffer.isView(values) ? (values as Float32Array) : flatten(values);
  const inferred = ArrayBuffer.isView(values) ? [elements.length] : inferShape(values);
  const shape = options.shape ?? inferred;
  checkSizes("tensor", shape);
  if (numel(shape) !== elements.length)
    fail(`tensor: values has ${elements.length} elements, expected those of ${formatShape(shape)}`);
  return upload("tensor", elements, shape, {
    ...options,
    dtype: options.dtype ?? inferDType(values),
  });
}

/**
 * All elements 0: zeros([2, 3]) or zeros(2, 3); so for ones, rand and randn.
 * @example
 * console.log(zeros([2, 2]).toArray()); // [ [ 0, 0 ], [ 0, 0 ] ]
 */
export function zeros(...args: ShapeArguments<TensorOptions>): Tensor {
  const [shape, options] = readShape(args);
  return createFull("zeros", shape, 0, options);
}

/**
 * All elements 1.
 * @example
 * console.log(ones([2, 2]).toArray()); // [ [ 1, 1 ], [ 1, 1 ] ]
 */
export function ones(...args: ShapeArguments<TensorOptions>): Tensor {
  const [shape, options] = readShape(args);
  return createFull("ones", shape, 1, options);
}

/**
 * All elements `value`.
 * @example
 * console.log(full([2, 2], 7).toArray()); // [ [ 7, 7 ], [ 7, 7 ] ]
 */
export function full(shape: Shape, value: number, options: TensorOptions = {}): Tensor {
  return createFull("full", shape, value, options);
}

function createFull(op: string, shape: Shape, value: number, options: TensorOptions): Tensor {
  checkOptions(op, options, tensorOptions);
  checkNumber(op, "value", value);
  checkSizes(op, shape);
  const target = device(options.device ?? defaultDevice());
  const x = new Tensor(target.empty(options.dtype ?? "f32", numel(shape)), [...shape]).fill(value);
  return withGradient(op, x, options);
}

/**
 * start, start + step, ... up to but not including end: arange(end), arange(start, end) or
 * arange(start, end, step). i32, or f32 if one of them is not an integer.
 * @example
 * console.log(arange(4).toArray(), arange(6, 0, -2).toArray()); // [ 0, 1, 2, 3 ] [ 6, 4, 2 ]
 */
export function arange(
  start: number,
  end?: number | TensorOptions,
  step: number | TensorOptions = 1,
  options: TensorOptions = {},
): Tensor {
  if (typeof end !== "number") {
    checkNumber("arange", "end", start);
    return arange(0, start, 1, end);
  }
  if (typeof step !== "number") return arange(start, end, 1, step);
  checkOptions("arange", options, tensorOptions);
  for (const [name, value] of Object.entries({ start, end, step }))
    checkNumber("arange", name, value);
  if (step === 0) fail("arange: step is 0, expected another number");
  const n = Math.max(0, Math.ceil((end - start) / step));
  checkSizes("arange", [n]);
  const dtype = options.dtype ?? ([start, end, step].every(Number.isInteger) ? "i32" : "f32");
  const count = (n: number) => new Float64Array(n).map((_, i) => start + i * step);
  return fromFunction("arange", [n], { ...options, dtype }, count);
}

/**
 * `steps` numbers at equal distances from start to end, both included; f32.
 * @example
 * console.log(linspace(0, 1, 5).toArray()); // [ 0, 0.25, 0.5, 0.75, 1 ]
 */
export function linspace(
  start: number,
  end: number,
  steps: number,
  options: TensorOptions = {},
): Tensor {
  checkOptions("linspace", options, tensorOptions);
  for (const [name, value] of Object.entries({ start, end, steps }))
    checkNumber("linspace", name, value);
  checkSizes("linspace", [steps]);
  const step = steps > 1 ? (end - start) / (steps - 1) : 0;
  const at = (i: number) => (i < steps / 2 ? start + step * i : end - step * (steps - 1 - i));
  return fromFunction("linspace", [steps], options, (n) =>
    new Float64Array(n).map((_, i) => at(i)),
  );
}

/**
 * All elements 0, with x's shape, and its dtype and device unless options say otherwise.
 * @example
 * console.log(zerosLike(tensor([1, 2])).toArray()); // [ 0, 0 ]
 */
export function zerosLike(x: Tensor, options: TensorOptions = {}): Tensor {
  return likeOf("zerosLike", x, 0, options);
}

/**
 * All elements 1, with x's shape, and its dtype and device unless options say otherwise.
 * @example
 * console.log(onesLike(tensor([3, 4])).toArray()); // [ 1, 1 ]
 */
export function onesLike(x: Tensor, options: TensorOptions = {}): Tensor {
  return likeOf("onesLike", x, 1, options);
}

/**
 * All elements `value`, with x's shape, and its dtype and device unless options say otherwise.
 * @example
 * console.log(fullLike(tensor([1, 2]), 7).toArray()); // [ 7, 7 ]
 */
export function fullLike(x: Tensor, value: number, options: TensorOptions = {}): Tensor {
  return likeOf("fullLike", x, value, options);
}

function likeOf(op: string, x: Tensor, value: number, options: TensorOptions): Tensor {
  checkTensor(op, "x", x);
  return createFull(op, x.shape, value, { dtype: x.dtype, device: x.device, ...options });
}

/** Allocates before it computes the values, so that a huge shape fails at once. */
export function fromFunction(
  op: string,
  shape: Shape,
  options: TensorOptions,
  values: (n: number) => Float64Array,
): Tensor {
  const x = zeros(shape, options);
  const uploaded = upload(op, values(x.size), shape, { dtype: x.dtype, device: x.device });
  x.assign(uploaded);
  uploaded.free("copied");
  return x;
}

function upload(
  op: string,
  values: ArrayLike<number>,
  shape: Shape,
  options: TensorOptions,
): Tensor {
  const target = device(options.device ?? defaultDevice());
  if (options.dtype === "i32") checkIntegers(op, values);
  const x = new Tensor(target.upload(options.dtype ?? "f32", values), shape);
  return withGradient(op, x, options);
}

function checkIntegers(op: string, values: ArrayLike<number>): void {
  if (values instanceof Int32Array) return;
  for (let i = 0; i < values.length; i++)
    if ((values[i] | 0) !== values[i])
      fail(`${op}: element ${i} is ${values[i]}, expected a whole number of 32 bits`);
}

function withGradient(op: string, x: Tensor, { requiresGrad = false }: TensorOptions): Tensor {
  if (requiresGrad && x.dtype === "i32")
    fail(`${op}: dtype is i32, expected floats for a gradient`);
  x.requiresGrad = requiresGrad;
  return x;
}

function inferDType(values: unknown): DType {
  if (values instanceof Float64Array) return "f64";
  return ArrayBuffer.isView(values) && !(values instanceof Float32Array) ? "i32" : "f32";
}

/**
 * Returns the shape of nested arrays; throws if rows differ in shape or an element is not a number.
 */
function inferShape(values: unknown): number[] {
  if (typeof values === "number") return [];
  if (!Array.isArray(values))
    return fail(`tensor: values has a ${typeof values}, expected numbers`);
  const rows = Array.from(values, inferShape); // visits holes too
  const odd = rows.find((row) => formatShape(row) !== formatShape(rows[0]));
  if (odd)
    fail(`tensor: values has rows of shapes ${formatShape(rows[0])} and ${formatShape(odd)}`);
  return [values.length, ...(rows[0] ?? [])];
}

function flatten(values: Nested): readonly number[] {
  if (typeof values === "number") return [values];
  return Array.isArray(values) ? values.flatMap(flatten) : [];
}
