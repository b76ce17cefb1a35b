// Chooses the kernel for each call: the native one where there is one, the TypeScript one
// otherwise.

import type { NativeKernels } from "./addon.ts";
import type { Kernels } from "./kernels.ts";
import { OutOfMemoryError } from "./pool.ts";
import { reference } from "./ts/index.ts";

/** The numbers of kernel calls so far, by the backend that ran them and by kernel. */
export class KernelCounts {
  readonly native = new Map<string, number>();
  readonly ts = new Map<string, number>();
}

type AnyKernel = (...args: never[]) => unknown;

/** The actions of a device around its kernel calls. */
interface DispatchHooks {
  /** Called before a TypeScript kernel runs. */
  onFallback(): void;
  /** Frees cached memory, for a kernel that could not allocate its workspace. */
  makeRoom(): void;
}

/**
 * Returns all kernels. `native` kernels return false for f64 buffers; the call then goes to the
 * TypeScript kernel.
 */
export function makeDispatchTable(
  native: Partial<NativeKernels>,
  counts: KernelCounts,
  { onFallback, makeRoom }: DispatchHooks,
): Kernels {
  const table: Record<string, AnyKernel> = {};
  for (const name of Object.keys(reference) as (keyof Kernels)[]) {
    const kernel: AnyKernel = reference[name];
    const nativeKernel: AnyKernel | undefined = native[name];
    table[name] = (...args) => {
      if (nativeKernel && runNative(nativeKernel, args, makeRoom)) {
        increment(counts.native, name);
        return;
      }
      increment(counts.ts, name);
      onFallback();
      kernel(...args);
    };
  }
  return table as unknown as Kernels;
}

/** Runs a native kernel, a second time if there was no memory for its workspace. */
function runNative(kernel: AnyKernel, args: never[], makeRoom: () => void): unknown {
  try {
    return kernel(...args);
  } catch (error) {
    if (!isOutOfMemory(error)) throw error;
  }
  makeRoom(); // the kernel has done nothing so far
  try {
    return kernel(...args);
  } catch (error) {
    throw isOutOfMemory(error) ? new OutOfMemoryError(error.message) : error;
  }
}

function isOutOfMemory(error: unknown): error is Error {
  return error instanceof RangeError && error.message.startsWith("out of memory");
}

function increment(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}
