// Allocation, reading and writing of buffers: typed arrays in the host's memory, or buffers of an
// addon in a device's own memory.

import { fail } from "../errors.ts";
import type { CudaAddon, WasmAddon } from "./addon.ts";
import type { DType, Floats } from "./kernels.ts";

/**
 * A buffer as kernels take it. On a device with its own memory this is an object of the addon,
 * which has a length and a byteLength too, but whose elements only kernels can access.
 */
export type Buffer = Floats | Int32Array;

/** Access to the memory of a device. */
export interface Memory {
  /** True if JavaScript can read and write the buffers. */
  readonly isHost: boolean;
  /** True if kernels take any typed array, not only buffers of this memory. */
  readonly takesAnyArray: boolean;
  write(buffer: Buffer, values: ArrayLike<number>): void;
  /** Returns a copy of the elements; bf16 is converted to f32. */
  read(buffer: Buffer): Buffer;
}

/** The memory of a device as its pool uses it. All others take buffers from the pool. */
export interface Allocator extends Memory {
  /** Returns a buffer with undefined content, or null if memory is exhausted. */
  allocate(dtype: DType, length: number): Buffer | null;
  free(buffer: Buffer): void;
  /**
   * Returns the memory of the buffers that the garbage collector has freed, as new buffers; if
   * `isFinalizedOnly`, of those that it freed before the current task. On the host there are none:
   * typed arrays are V8's.
   */
  sweep(isFinalizedOnly: boolean): readonly (readonly [DType, Buffer])[];
  /** Collects garbage, so that sweep() finds what is unreachable. Does nothing on the host. */
  collectGarbage(): void;
}

/** Throws unless typed arrays can have this dtype. */
function checkHostType(dtype: DType): asserts dtype is keyof typeof arrays {
  if (dtype === "bf16") fail("dtype bf16 is not supported on this device (only on cuda); use f32");
  if (!Object.hasOwn(arrays, dtype)) fail(`dtype is ${dtype}, expected f32, f64, i32 or bf16`);
}

/** The typed arrays of the dtypes that the host has. */
export const arrays = { f32: Float32Array, f64: Float64Array, i32: Int32Array };

/** Typed arrays. `alignment` returns the offset of the first cache line in an array buffer. */
export function hostMemory(alignment?: (buffer: ArrayBuffer) => number): Allocator {
  return {
    isHost: true,
    takesAnyArray: true,
    allocate(dtype, length) {
      checkHostType(dtype);
      const bytes = length * arrays[dtype].BYTES_PER_ELEMENT;
      try {
        const memory = new ArrayBuffer(bytes + (alignment ? 64 : 0));
        return new arrays[dtype](memory, alignment?.(memory), length);
      } catch {
        return null;
      }
    },
    free() {}, // the garbage collector does, which V8 also runs before an allocation fails
    sweep: () => [],
    collectGarbage() {},
    write: (buffer, values) => buffer.set(values),
    read: (buffer) => buffer.slice(),
  };
}

/** The memory of the WebAssembly module, which JavaScript accesses through typed arrays. */
export function wasmMemory(addon: WasmAddon): Allocator {
  return {
    isHost: true,
    takesAnyArray: false,
    allocate(dtype, length) {
      checkHostType(dtype);
      return addon.make(dtype, length);
    },
    free: (buffer) => addon.free(buffer),
    sweep: () => [], // collectGarbage() frees
    collectGarbage: () => addon.collectGarbage(),
    write: (buffer, values) => buffer.set(values),
    read: (buffer) => buffer.slice(),
  };
}

/** The memory of a GPU. */
export function deviceMemory(addon: CudaAddon): Allocator {
  return {
    isHost: false,
    takesAnyArray: false,
    allocate(dtype, length) {
      if (dtype === "f64")
        fail("dtype f64 is not supported on this device (only on ts and cpu); use f32");
      if (!["f32", "i32", "bf16"].includes(dtype))
        fail(`dtype is ${dtype}, expected f32, i32 or bf16`);
      if (dtype === "bf16" && !addon.hasBf16)
        fail(`dtype bf16 is not supported by ${addon.processor} (only since Ampere); use f32`);
      return addon.allocate(dtype, length) as Buffer | null;
    },
    free: (buffer) => addon.free(buffer),
    sweep(isFinalizedOnly) {
      const buffers = addon.sweep(isFinalizedOnly);
      return buffers.map((buffer) => [buffer.dtype as DType, buffer as unknown as Buffer] as const);
    },
    collectGarbage: () => addon.collectGarbage(),
    write(buffer, values) {
      const isTyped = values instanceof Int32Array || values instanceof Float32Array;
      addon.write(buffer, isTyped ? values : Float64Array.from(values));
    },
    read: (buffer) => addon.read(buffer) as Buffer,
  };
}
