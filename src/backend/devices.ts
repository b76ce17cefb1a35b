// The devices of this machine, by name, and the default device. `ts` always exists; the others need
// an addon, and say why if it is missing.

import { platform } from "#platform";
import { describe } from "../errors.ts";
import type { Addon, CpuAddon, WasmAddon } from "./addon.ts";
import { Device, type DeviceName, type MatmulPrecision } from "./device.ts";
import { reference } from "./ts/index.ts";

const names: DeviceName[] = ["cuda", "cpu", "wasm", "ts", "cuda-emulator"]; // fastest first
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
  return findDevice("device", name);
}

/** device() under the name of the function that the caller knows. */
export function findDevice(op: string, name: DeviceName | "auto" | Device): Device {
  if (name instanceof Device) return name;
  const chosen =
    name === "auto" ? names.find((known) => typeof findAddon(known) !== "string") : name;
  if (!chosen || !names.includes(chosen)) {
    throw new TypeError(`${op}: name is ${describe(name)}, expected auto, ${names.join(", ")}`);
  }
  const addon = findAddon(chosen);
  if (typeof addon === "string") throw new Error(`device ${chosen} is not available: ${addon}`);
  if (name === "auto" && chosen === "ts") warnOfFallback();
  return opened.get(chosen) ?? open(chosen, addon);
}

function open(name: DeviceName, addon: Addon | null): Device {
  if (addon && "threads" in addon) applyThreads(addon);
  const opening = new Device(name, addon);
  opened.set(name, opening);
  applyPrecision(opening);
  return opening;
}

/** Warns once that a faster device is missing. setDefaultDevice("ts") prevents it. */
function warnOfFallback(): void {
  if (hasWarned) return;
  hasWarned = true;
  const name = platform.fastDevice;
  const reason = platform.addonOf(name);
  platform.warn(`tinybard uses the device ts, which is much slower than ${name}: ${reason}`);
}

export interface DeviceInfo {
  name: DeviceName;
  available: boolean;
  /** The reason why it is not available; empty if it is. */
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

/** Returns true if new tensors are on this device; false if no default is in use yet. */
export function isDefaultDevice(on: Device): boolean {
  return on === defaultInUse;
}

/**
 * Sets the device of new tensors; by default auto.
 * @example
 * setDefaultDevice("ts");
 * console.log(zeros([2]).device.name); // ts
 */
export function setDefaultDevice(name: DeviceName | "auto" | Device): void {
  defaultInUse = findDevice("setDefaultDevice", name);
}

let matmulPrecision: MatmulPrecision = "highest";
const warned = new Set<Device>();

/** Sets the precision of a device's matmuls. Warns once if the device has no "medium". */
function applyPrecision(on: Device): void {
  on.matmulPrecision = matmulPrecision;
  const { precisionFallback } = on;
  if (matmulPrecision === "highest" || !precisionFallback || warned.has(on)) return;
  warned.add(on);
  platform.warn(precisionFallback);
}

/**
 * Sets the precision of matmuls of f32 tensors, as torch.set_float32_matmul_precision() does. By
 * default it is "highest": they are computed in f32. With "medium", the operands of `matmul`,
 * `linear`, `mlp`, `attention`, the logits of `linearCrossEntropy`, and their gradients, are
 * rounded to bf16; products are added in f32, and all tensors stay f32. This is faster on a
 * processor that multiplies bf16 (AVX512-BF16, or BF16 of ARM); on others, and in WebAssembly,
 * "medium" computes as "highest" does, and a warning says so. On cuda, "medium" rounds to TF32.
 * Products of at most 4 rows, as in generation, stay in f32. train() has an option of its own.
 * @example
 * setFloat32MatmulPrecision("medium");
 * console.log(getFloat32MatmulPrecision()); // medium
 * setFloat32MatmulPrecision("highest"); // the default
 */
export function setFloat32MatmulPrecision(precision: MatmulPrecision): void {
  if (precision !== "highest" && precision !== "medium")
    throw new TypeError(
      `setFloat32MatmulPrecision: precision is ${describe(precision)}, expected highest or medium`,
    );
  matmulPrecision = precision;
  for (const on of opened.values()) applyPrecision(on);
}

/**
 * Returns the precision of matmuls of f32 tensors.
 * @example
 * console.log(getFloat32MatmulPrecision()); // highest
 */
export function getFloat32MatmulPrecision(): MatmulPrecision {
  return matmulPrecision;
}

/** The settings of setThreads() and workAlone(), for the devices that are opened later. */
const threading = { count: 0, isAlone: false };

type ThreadedAddon = CpuAddon | WasmAddon;

/** Applies the settings. Returns the number of threads. */
function applyThreads(addon: ThreadedAddon): number {
  if (threading.isAlone) addon.alone();
  return threading.count > 0 ? addon.threads(threading.count) : addon.threads();
}

/** The addons with threads: of the devices that have been opened, otherwise of the fastest. */
function findThreaded(): ThreadedAddon[] {
  const names = ["cpu", "wasm"] as const;
  const addons = names.filter((name) => opened.has(name)).map((name) => platform.addonOf(name));
  if (addons.length === 0) {
    const cpu = platform.addonOf("cpu");
    addons.push(typeof cpu === "string" ? platform.addonOf("wasm") : cpu);
  }
  return addons.filter((addon) => typeof addon !== "string");
}

/** Sets the number of threads of cpu and wasm, including the caller's. Returns the number. */
export function setThreads(count: number): number {
  const counts = findThreaded().map((addon) => addon.threads(count));
  threading.count = count;
  return counts[0] ?? 1;
}

/** Sets the number of threads unless setThreads() or TINYBARD_THREADS has chosen one. */
export function limitThreads(count: number): void {
  if (threading.count === 0 && !platform.env.TINYBARD_THREADS) setThreads(count);
}

/** Makes the calling JavaScript thread compute without other threads, which others then have. */
export function workAlone(): void {
  threading.isAlone = true;
  for (const addon of findThreaded()) addon.alone();
}
