// Where buffers come from, and how numbers get in and out of them: typed arrays in the host's
// memory, or what an addon gives out of a device's own.

import { fail } from "../errors.ts";
import type { CudaAddon } from "./addon.ts";
import type { DType, Floats } from "./kernels.ts";

/**
 * Memory as kernels take it. On a device with memory of its own it stands for an object of the
 * addon, which has a length and a byteLength too, but whose numbers only kernels can see.
 */
export type Buffer = Floats | Int32Array;

/** The memory of a device. */
export interface Memory {
  /** Can a program read and write the buffers by itself? */
  readonly isHost: boolean;
  /** A new buffer, its content undefined; null if there is no room. */
  allocate(dtype: DType, length: number): Buffer | null;
  free(buffer: Buffer): void;
  write(buffer: Buffer, values: ArrayLike<number>): void;
  /** A copy of the numbers; those in bf16 as f32. */
  read(buffer: Buffer): Buffer;
}

const arrays = { f32: Float32Array, f64: Float64Array, i32: Int32Array };

/**
 * Typed arrays. `alignment` tells where in a buffer a cache line begins, where vectors want to
 * begin.
 */
export function hostMemory(alignment?: (buffer: ArrayBuffer) => number): Memory {
  return {
    isHost: true,
    allocate(dtype, length) {
      if (dtype === "bf16") fail("dtype is bf16, which lives on cuda only; this device has f32");
      if (!Object.hasOwn(arrays, dtype)) fail(`dtype is ${dtype}, expected f32, f64, i32 or bf16`);
      const bytes = length * arrays[dtype].BYTES_PER_ELEMENT;
      try {
        const memory = new ArrayBuffer(bytes + (alignment ? 64 : 0));
        return new arrays[dtype](memory, alignment?.(memory), length);
      } catch {
        return null;
      }
    },
    free() {}, // the collector does
    write: (buffer, values) => buffer.set(values),
    read: (buffer) => buffer.slice(),
  };
}

/** Memory of a device's own. */
export function deviceMemory(addon: CudaAddon): Memory {
  return {
    isHost: false,
    allocate(dtype, length) {
      if (dtype === "f64")
        fail("dtype is f64, which lives on ts and cpu only; this device has f32");
      if (!["f32", "i32", "bf16"].includes(dtype))
        fail(`dtype is ${dtype}, expected f32, i32 or bf16`);
      return addon.allocate(dtype, length) as Buffer | null;
    },
    free: (buffer) => addon.free(buffer),
    write(buffer, values) {
      const isTyped = values instanceof Int32Array || values instanceof Float32Array;
      addon.write(buffer, isTyped ? values : Float64Array.from(values));
    },
    read: (buffer) => addon.read(buffer) as Buffer,
  };
}
