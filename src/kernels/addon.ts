// Finds the native addons. When one cannot be had it says why, and what to do about it.

import type { Kernels } from "./contract.ts";

export interface Addon {
  kernels: Partial<Kernels>;
}

/** The addon of a device, or the reason why there is none. */
export function loadAddon(name: "cpu" | "cuda"): Addon | { reason: string } {
  const kind = name === "cpu" ? "C++" : "CUDA";
  return { reason: `no ${kind} addon: this version of tinybard has none yet` };
}
