// A device: its kernels, the memory they work on, and the pool that the memory comes from.
// device("ts") always exists; the others need an addon, and say why when it is missing.

import { fail } from "../errors.ts";
import { rngState } from "../random.ts";
import { type Addon, addonOf } from "./addon.ts";
import { type Buffer, deviceMemory, hostMemory, type Memory } from "./buffers.ts";
import { Capture, type CaptureLog } from "./capture.ts";
import type { DType, Kernels } from "./kernels.ts";
import { Pool, Storage } from "./memory.ts";
import { reference } from "./ts/index.ts";
import { loadTuning, saveTuning } from "./tuning.ts";

export type { Buffer } from "./buffers.ts";
export type { DType, Floats, Kernels } from "./kernels.ts";
export { OutOfMemoryError, type Storage } from "./memory.ts";
/** Names of the devices: TypeScript, native CPU, GPU, and the GPU kernels emulated on the CPU. */
export type DeviceName = "ts" | "cpu" | "cuda" | "cuda-emulator";

/** Where tensors live and kernels run. */
export class Device {
  readonly name: DeviceName;
  /** @internal */
  readonly kernels: Kernels;
  /** @internal */
  readonly addon: Addon | null;
  /** @internal */
  readonly memory: Memory;
  /** @internal */
  pool: Pool;
  /** Kernel calls so far on each floor, by name. @internal */
  readonly calls = { native: new Map<string, number>(), ts: new Map<string, number>() };
  /** What is noted while a step is recorded. @internal */
  captureLog: CaptureLog | null = null;
  #capturing = false;
  #rngState: { at: Int32Array | null; changes: number } = { at: null, changes: -1 };

  /** @internal */
  constructor(name: DeviceName, addon: Addon | null) {
    this.name = name;
    this.addon = addon;
    const isDevice = addon !== null && "allocate" in addon;
    this.memory = isDevice ? deviceMemory(addon) : hostMemory(addon?.alignment);
    this.pool = new Pool(this.memory);
    this.kernels = this.#count(addon?.kernels ?? {});
  }

  /** New memory; its content is undefined. @internal */
  empty(dtype: DType, length: number): Storage {
    return new Storage(this, dtype, length);
  }

  /** New memory with the given values. @internal */
  upload(dtype: DType, values: ArrayLike<number>): Storage {
    this.#refuse("tensor(host data)");
    const storage = this.empty(dtype, values.length);
    this.memory.write(storage.buffer, values);
    return storage;
  }

  /** A copy of the memory. @internal */
  download(storage: Storage): Buffer {
    this.#refuse("item(), data() or toArray()");
    return this.memory.read(storage.buffer);
  }

  /**
   * The state that random kernels draw from. In a new place after each change: old graphs keep
   * theirs.
   * @internal
   */
  rngState(): Int32Array {
    if (this.captureLog) return this.captureLog.rngState;
    const { state, changes } = rngState();
    if (!this.#rngState.at || changes !== this.#rngState.changes)
      this.#rngState = { at: this.place(state), changes };
    return this.#rngState.at as Int32Array;
  }

  /**
   * Prepares a step for replay: `step` takes and returns tensors, and so does the function
   * returned. On ts it just calls the step; elsewhere a result holds until the next call. All else
   * that the step reads is frozen in it, but the learning rate, the place of random draws and the
   * mode of modules. Inside, nothing may pass between host and device: reading a tensor or making
   * one from host data throws.
   */
  capture<I extends unknown[], R>(step: (...inputs: I) => R, _inputs?: I): (...inputs: I) => R {
    const capture = new Capture(this, step);
    return (...inputs) => {
      const outer = this.#capturing;
      this.#capturing = true;
      try {
        return this.addon && !outer ? capture.run(inputs, captureEpoch) : step(...inputs);
      } finally {
        this.#capturing = outer;
      }
    };
  }

  /**
   * The numbers that tell kernels where a draw stands, in memory that no pool takes back.
   * @internal
   */
  place(state: Int32Array): Int32Array {
    const at = this.memory.allocate("i32", state.length) as Int32Array;
    this.memory.write(at, state);
    return at;
  }

  /** Runs `fn` with a captureLog, on the captureLog's memory. @internal */
  withCaptureLog<T>(captureLog: CaptureLog, fn: () => T): T {
    const { pool } = this;
    Object.assign(this, { captureLog, pool: captureLog.pool });
    this.memory.write(captureLog.rngState, rngState().state);
    try {
      return fn();
    } finally {
      Object.assign(this, { captureLog: null, pool });
    }
  }

  /** Writes down which algorithms multiply matrices, where there is a choice; and the way back. */
  saveTuning(file?: string): void {
    if (this.addon && "matmulTable" in this.addon) saveTuning(this.addon, file);
  }

  loadTuning(file?: string): void {
    if (this.addon && "matmulTable" in this.addon) loadTuning(this.addon, file);
  }

  toString(): string {
    return this.name;
  }

  /** All kernels, native where there is one and the data are no doubles; each call is counted. */
  #count(native: Partial<Addon["kernels"]>): Kernels {
    const tally = (calls: Map<string, number>, name: string) =>
      calls.set(name, (calls.get(name) ?? 0) + 1);
    const wrap = ([name, kernel]: [string, (...args: never[]) => void]) => {
      const fast = native[name as keyof Kernels] as ((...args: never[]) => unknown) | undefined;
      const call = (...args: never[]) => {
        if (fast && !fast(...args)) tally(this.calls.native, name);
        else {
          tally(this.calls.ts, name);
          if (this.captureLog) this.captureLog.isComplete = false;
          kernel(...args);
        }
      };
      return [name, call];
    };
    return Object.fromEntries(Object.entries(reference).map(wrap));
  }

  #refuse(what: string): void {
    if (this.#capturing)
      fail(`${what} inside a captured step: pass tensors in, return them, and read them outside`);
  }
}

const made = new Map<DeviceName, Device>();
const names: DeviceName[] = ["cuda", "cpu", "ts", "cuda-emulator"]; // fastest first
let chosen: Device | null = null;
let captureEpoch = 0;

/** To be called when recorded steps no longer hold: a mode, or the memory of a tensor, changed. */
export function invalidateCaptures(): void {
  captureEpoch++;
}

/** The addon of a device, null if it needs none; or why the device cannot be had. */
function addonFor(name: DeviceName): Addon | null | string {
  return name === "ts" ? null : addonOf(name);
}

/**
 * A device by name; `auto` is the fastest that works. Throws when one asked for by name cannot be
 * had.
 * @example
 * console.log(device("ts").name);
 */
export function device(name: DeviceName | "auto" | Device): Device {
  if (name instanceof Device) return name;
  const wanted = name === "auto" ? names.find((each) => typeof addonFor(each) !== "string") : name;
  if (!wanted || !names.includes(wanted)) {
    throw new TypeError(`device: name is ${name}, expected auto, ${names.join(", ")}`);
  }
  const addon = addonFor(wanted);
  if (typeof addon === "string") throw new Error(`device ${wanted} cannot be had: ${addon}`);
  const found = made.get(wanted) ?? new Device(wanted, addon);
  made.set(wanted, found);
  return found;
}

/**
 * What every device has: whether it works or why not, and which kernels are not native on it.
 * @example
 * for (const { name, reason } of devices()) console.log(name, reason ?? "works");
 */
export function devices(): {
  name: DeviceName;
  available: boolean;
  reason: string;
  native: number;
  missing: string[];
}[] {
  return names.map((name) => {
    const addon = addonFor(name);
    const reason = typeof addon === "string" ? addon : "";
    const kernels = typeof addon === "object" ? (addon?.kernels ?? {}) : {};
    const missing = Object.keys(reference).filter((kernel) => !(kernel in kernels));
    return { name, available: !reason, reason, native: Object.keys(kernels).length, missing };
  });
}

/** The device that new tensors live on where none is named; the fastest one at first. */
export function defaultDevice(): Device {
  chosen ??= device("auto");
  return chosen;
}

/** Sets how many threads the device cpu works with, the calling one among them; gives how many. */
export function setThreads(count: number): number {
  const addon = addonOf("cpu");
  return typeof addon === "string" ? 1 : addon.threads(count);
}

/** From now on the calling JavaScript thread computes by itself on cpu: others have the threads. */
export function workAlone(): void {
  const addon = addonOf("cpu");
  if (typeof addon !== "string") addon.alone();
}

/**
 * Sets the device on which new tensors are created; by default auto.
 * @example
 * setDefaultDevice("ts");
 * console.log(zeros([2]).device.name); // ts
 */
export function setDefaultDevice(name: DeviceName | "auto" | Device): void {
  chosen = device(name);
}
