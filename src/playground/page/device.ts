// Prepares the device that computes: WebAssembly where it is there, otherwise TypeScript.

import { setDefaultDevice } from "../../backend/devices.ts";
import { loadWasm } from "../../backend/platform/browser-wasm.ts";
import type { DeviceReport } from "../protocol.ts";

/** Opens the fastest device of this browser and makes it the default. */
export async function prepareDevice(): Promise<DeviceReport> {
  const find = (name: string) => new URL(name, globalThis.location.href);
  try {
    // makes it the default device
    const threads = await loadWasm({
      relaxed: find("kernels-relaxed.wasm"),
      plain: find("kernels.wasm"),
    });
    return { device: "wasm", threads, reason: "" };
  } catch (error) {
    setDefaultDevice("ts");
    return { device: "ts", threads: 1, reason: (error as Error).message };
  }
}
