// A row of the benchmark: a kernel's call at the shape that a model gives it, and the least it
// costs.

import type { Device, Floats, Kernels } from "#src/backend/device.js";
import { uniform } from "#src/random.js";
import { models, type Sizes } from "./models.ts";

/** A buffer of a call: n numbers made of uniform ones, which pass through memory once or twice. */
export interface Part {
  dtype: "f32" | "i32" | "bf16";
  n: number;
  value: (u: number) => number;
  passes: 1 | 2;
}
type Arg = Part | Part[] | number | boolean | null;

/** Numbers around 0. */
export const F = (n: number): Part => ({ dtype: "f32", n, value: (u) => u - 0.5, passes: 1 });
/** Room for results; written before, so that its pages are there. */
export const out = F;
/** Positive numbers. */
export const P = (n: number): Part => ({ ...F(n), value: (u) => u + 0.5 });
/** Whole numbers from 0 up to a bound. */
export const I = (n: number, bound: number): Part => {
  return { dtype: "i32", n, value: (u) => u * bound, passes: 1 };
};
/** A number that is passed in memory. */
export const given = (x: number, dtype: Part["dtype"] = "f32"): Part => {
  return { dtype, n: 1, value: () => x, passes: 1 };
};
/** A buffer that is changed in place: read and written. */
export const inPlace = (part: Part): Part => ({ ...part, passes: 2 });

/** A call of a kernel. */
export interface Call {
  kernel: keyof Kernels;
  args: Arg[];
  /** Floating-point operations, for kernels that compute more than they move. */
  flops?: number;
  /** What is moved, where that is less than all of the buffers. */
  bytes?: number;
}

export interface Row extends Call {
  model: string;
  /** The sizes, for people. */
  shape: string;
}

/** Rows for every model. */
export function forModels(rows: (sizes: Sizes) => Omit<Row, "model">[]): Row[] {
  return models.flatMap((sizes) => rows(sizes).map((row) => ({ model: sizes.preset, ...row })));
}

/** The bytes that a call reads and writes. */
export function bytesOf({ args, bytes }: Call): number {
  const moved = (arg: Arg): number => {
    if (Array.isArray(arg)) return arg.reduce((sum, part) => sum + moved(part), 0);
    const width = (part: Part) => (part.dtype === "bf16" ? 2 : 4);
    return typeof arg === "object" && arg !== null ? width(arg) * arg.n * arg.passes : 0;
  };
  return bytes ?? args.reduce((sum: number, arg) => sum + moved(arg), 0);
}

/** The call with all floats in bf16 that a kernel takes so, by the words of kernels.def. */
export function toBf16<C extends Call>(call: C, signature: string): C {
  const words = [...signature.matchAll(/\b(?:IN|OUT)\w*\((F|W|f32|i32|bf16|any), *\w+/g)];
  const half = (arg: Arg, type = ""): Arg => {
    if (typeof arg !== "object" || arg === null || Array.isArray(arg)) return arg;
    return /^(F|W|any)$/.test(type) && arg.dtype === "f32" ? { ...arg, dtype: "bf16" } : arg;
  };
  const args = call.args.map((arg, i) => half(arg, words[i]?.[1]));
  return { ...call, args, ...(call.bytes && { bytes: call.bytes / 2 }) };
}

const BLOCK = 1 << 20; // numbers that are drawn; a longer buffer repeats them

/** The arguments on a device, in memory from its pool, which is aligned as that of tensors. */
export function allocate(args: Arg[], device: Device): { values: unknown[]; free(): void } {
  const storages: ReturnType<Device["upload"]>[] = [];
  const place = (arg: Arg): unknown => {
    if (Array.isArray(arg)) return arg.map(place);
    if (typeof arg !== "object" || arg === null) return arg;
    const { dtype, n, value } = arg;
    const numbers = uniform(Math.min(n, BLOCK), { site: storages.length, stream: "sample" });
    let storage = device.upload(dtype, numbers.map(value));
    if (n > BLOCK) {
      const [block, times] = [storage, Math.ceil(n / BLOCK)];
      storage = device.empty(dtype, times * BLOCK);
      device.kernels.expand(block.buffer as Floats, storage.buffer as Floats, 1, times, BLOCK);
      block.release();
    }
    storages.push(storage);
    return storage.buffer;
  };
  const free = () => {
    for (const storage of storages) storage.release();
  };
  return { values: args.map(place), free };
}
