// Chooses the kernel for each call: the native one where there is one, the TypeScript one
// otherwise.

import type { NativeKernels } from "./addon.ts";
import type { Kernels } from "./kernels.ts";
import { reference } from "./ts/index.ts";

/** The numbers of kernel calls so far, by the backend that ran them and by kernel. */
export class KernelCounts {
  readonly native = new Map<string, number>();
  readonly ts = new Map<string, number>();
}

type AnyKernel = (...args: never[]) => unknown;

/**
 * Returns all kernels. `native` kernels return false for f64 buffers; the call then goes to the
 * TypeScript kernel, after `onFallback()`.
 */
export function makeDispatchTable(
  native: Partial<NativeKernels>,
  counts: KernelCounts,
  onFallback: () => void,
): Kernels {
  const table: Record<string, AnyKernel> = {};
  for (const name of Object.keys(reference) as (keyof Kernels)[]) {
    const kernel: AnyKernel = reference[name];
    const nativeKernel: AnyKernel | undefined = native[name];
    table[name] = (...args) => {
      if (nativeKernel?.(...args)) {
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

function increment(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}
