// The devices of this machine, by name, and the default device. `ts` always exists; the others need
// an addon, and say why if it is missing.

import { platform } from "#platform";
import type { Addon } from "./addon.ts";
import { Device, type DeviceName } from "./device.ts";
import { reference } from "./ts/index.ts";

const names: DeviceName[] = ["cuda", "cpu", "ts", "cuda-emulator"]; // fastest first
const opened = new Map<DeviceName, Device>();
let defaultInUse: Device | null = null;
let hasWarned = false;

/** Returns the addon of a device, null if it needs none, or the reason why it is not available. */
function findAddon(name: DeviceName): Addon | null | string {
  return name === "ts" ? null : platform.addonOf(name);
}

/**
 * Returns a device by name; `auto` is the fastest that works. Throws if the name is unknown, or if
 * the device is not available, with the reason and what to install.
 * @example
 * console.log(device("ts").name);
 */
export function device(name: DeviceName | "auto" | Device): Device {
  if (name instanceof Device) return name;
  const chosen =
    name === "auto" ? names.find((known) => typeof findAddon(known) !== "string") : name;
  if (!chosen || !names.includes(chosen)) {
    throw new TypeError(`device: name is ${name}, expected auto, ${names.join(", ")}`);
  }
  const addon = findAddon(chosen);
  if (typeof addon === "string") throw new Error(`device ${chosen} is not available: ${addon}`);
  if (name === "auto" && chosen === "ts") warnOfFallback();
  const found = opened.get(chosen) ?? new Device(chosen, addon);
  opened.set(chosen, found);
  return found;
}

/** Warns once that the C++ addon is missing. setDefaultDevice("ts") prevents it. */
function warnOfFallback(): void {
  if (hasWarned) return;
  hasWarned = true;
  const reason = platform.addonOf("cpu");
  platform.warn(`tinybard uses the device ts, which is much slower than cpu: ${reason}`);
}

export interface DeviceInfo {
  name: DeviceName;
  available: boolean;
  /** Why it is not available; empty if it is. */
  reason: string;
  /** The number of native kernels. */
  native: number;
  /** The kernels that run in TypeScript. */
  missing: string[];
}

/**
 * Returns every device of this version, whether it is available, and which kernels are native.
 * @example
 * for (const { name, reason } of devices()) console.log(name, reason || "works");
 */
export function devices(): DeviceInfo[] {
  return names.map((name) => {
    const addon = findAddon(name);
    const reason = typeof addon === "string" ? addon : "";
    const kernels = typeof addon === "object" ? (addon?.kernels ?? {}) : {};
    const missing = Object.keys(reference).filter((kernel) => !(kernel in kernels));
    return { name, available: !reason, reason, native: Object.keys(kernels).length, missing };
  });
}

/** Returns the device of new tensors: the one that was set, otherwise the fastest that works. */
export function defaultDevice(): Device {
  defaultInUse ??= device("auto");
  return defaultInUse;
}

/**
 * Sets the device of new tensors; by default auto.
 * @example
 * setDefaultDevice("ts");
 * console.log(zeros([2]).device.name); // ts
 */
export function setDefaultDevice(name: DeviceName | "auto" | Device): void {
  defaultInUse = device(name);
}

/** Sets the number of threads of the device cpu, including the caller's; returns the number. */
export function setThreads(count: number): number {
  const addon = platform.addonOf("cpu");
  return typeof addon === "string" ? 1 : addon.threads(count);
}

/** Makes the calling JavaScript thread compute without the thread pool, which others then have. */
export function workAlone(): void {
  const addon = platform.addonOf("cpu");
  if (typeof addon !== "string") addon.alone();
}
