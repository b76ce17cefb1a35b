// The interface to the platform, Node or a browser. Import it from "#platform": the field `imports`
// of package.json chooses node.ts or browser.ts, so that a bundle for browsers has no Node modules.

import type { Addon, CpuAddon, CudaAddon, WasmAddon } from "../addon.ts";
import type { MatmulTuning } from "../tuning.ts";

/** The devices that need an addon. */
export type AddonName = "cpu" | "wasm" | "cuda" | "cuda-emulator";

/** The functions that depend on where the library runs. */
export interface Platform {
  /** The environment variables; none in a browser. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The device that most programs use here. A warning says why it is not available. */
  readonly fastDevice: "cpu" | "wasm";
  /** Returns the addon of a device, or the reason why it is not available. */
  addonOf(name: "cpu"): CpuAddon | string;
  addonOf(name: "wasm"): WasmAddon | string;
  addonOf(name: "cpu" | "wasm"): CpuAddon | WasmAddon | string;
  addonOf(name: "cuda" | "cuda-emulator"): CudaAddon | string;
  addonOf(name: AddonName): Addon | string;
  /** Shows a warning to the developer, from the main thread only. */
  warn(message: string): void;
  /** Returns the matmul tuning of an addon; null if it has none. */
  makeTuning(addon: Addon | null): MatmulTuning | null;
  /** Resolves in a later task, after events and timers that are due. */
  nextTask(): Promise<void>;
}
