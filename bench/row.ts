// A row of the benchmark: a call of a kernel at a shape of a model, with the operations and the
// memory traffic that it needs.

import type { Device, Floats, Kernels } from "#src/backend/device.js";
import { uniform } from "#src/random.js";
import { models, type Sizes } from "./models.ts";

/**
 * A buffer of a call: n values, computed from uniform random numbers. It is read or written once,
 * or both (2 passes).
 */
export interface BufferSpec {
  dtype: "f32" | "i32" | "bf16";
  n: number;
  value: (u: number) => number;
  passes: 1 | 2;
}
type Arg = BufferSpec | BufferSpec[] | number | boolean | null;

/** Floats from -0.5 to 0.5. */
export const F = (n: number): BufferSpec => ({ dtype: "f32", n, value: (u) => u - 0.5, passes: 1 });
/** An output. It is initialized, so that its memory pages exist. */
export const out = F;
/** Floats from 0.5 to 1.5. */
export const P = (n: number): BufferSpec => ({ ...F(n), value: (u) => u + 0.5 });
/** Integers from 0 to bound - 1. */
export const I = (n: number, bound: number): BufferSpec => {
  return { dtype: "i32", n, value: (u) => u * bound, passes: 1 };
};
/** A buffer with one number. */
export const scalar = (x: number, dtype: BufferSpec["dtype"] = "f32"): BufferSpec => {
  return { dtype, n: 1, value: () => x, passes: 1 };
};
/** A buffer that is updated in place, so it is read and written. */
export const inPlace = (spec: BufferSpec): BufferSpec => ({ ...spec, passes: 2 });

/** A call of a kernel. */
export interface Call {
  kernel: keyof Kernels;
  args: Arg[];
  /** Floating-point operations, for kernels that compute more than they move. */
  flops?: number;
  /** Bytes read and written, if the kernel does not use the buffers completely. */
  bytes?: number;
}

export interface Row extends Call {
  model: string;
  /** The sizes, as printed. */
  shape: string;
}

/** Creates the rows of every model. */
export function forModels(rows: (sizes: Sizes) => Omit<Row, "model">[]): Row[] {
  return models.flatMap((sizes) => rows(sizes).map((row) => ({ model: sizes.preset, ...row })));
}

/** Returns the number of bytes that a call reads and writes. */
export function countBytes({ args, bytes }: Call): number {
  if (bytes !== undefined) return bytes;
  let sum = 0;
  for (const arg of args.flat()) {
    if (typeof arg !== "object" || arg === null) continue;
    const bytesPerElement = arg.dtype === "bf16" ? 2 : 4;
    sum += bytesPerElement * arg.n * arg.passes;
  }
  return sum;
}

/** Returns the call with bf16 buffers for all parameters that support bf16, by kernels.def. */
export function toBf16<C extends Call>(call: C, signature: string): C {
  const parameters = [...signature.matchAll(/\b(?:IN|OUT)\w*\((F|W|f32|i32|bf16|any), *\w+/g)];
  const convert = (arg: Arg, type = ""): Arg => {
    if (typeof arg !== "object" || arg === null || Array.isArray(arg)) return arg;
    return /^(F|W|any)$/.test(type) && arg.dtype === "f32" ? { ...arg, dtype: "bf16" } : arg;
  };
  const args = call.args.map((arg, i) => convert(arg, parameters[i]?.[1]));
  return { ...call, args, bytes: call.bytes && call.bytes / 2 };
}

const BLOCK = 1 << 20; // random numbers to generate; longer buffers repeat them

/** Allocates arguments on a device, in memory from its pool, which is aligned like tensors. */
export function allocate(args: Arg[], device: Device): { values: unknown[]; free(): void } {
  const storages: ReturnType<Device["upload"]>[] = [];
  const upload = (arg: Arg): unknown => {
    if (Array.isArray(arg)) return arg.map(upload);
    if (typeof arg !== "object" || arg === null) return arg;
    const { dtype, n, value } = arg;
    const numbers = uniform(Math.min(n, BLOCK), { site: storages.length, stream: "sample" });
    let storage = device.upload(dtype, numbers.map(value));
    if (n > BLOCK) {
      const block = storage;
      const repeats = Math.ceil(n / BLOCK);
      storage = device.empty(dtype, repeats * BLOCK);
      device.kernels.expand(block.buffer as Floats, storage.buffer as Floats, 1, repeats, BLOCK);
      block.release();
    }
    storages.push(storage);
    return storage.buffer;
  };
  const free = () => {
    for (const storage of storages) storage.release();
  };
  return { values: args.map(upload), free };
}
