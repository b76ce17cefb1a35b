// A device: its kernels, the memory they work on, and the pool that the memory comes from.
// device("ts") always exists; the others need an addon, and say why when it is missing.

import { type Buffer, Pool, Storage } from "./device/memory.ts";
import { whyNoAddon } from "./kernels/addon.ts";
import type { DType, Kernels } from "./kernels/contract.ts";
import { reference } from "./kernels/reference/index.ts";
import { drawState } from "./random.ts";
import { fail } from "./shape.ts";

export { type Buffer, OutOfMemoryError, type Storage } from "./device/memory.ts";
export type { DType, Floats, Kernels } from "./kernels/contract.ts";
export type DeviceName = "ts" | "cpu" | "cuda" | "cuda-emulator";

/** Where tensors live and kernels run. */
export class Device {
  readonly name: DeviceName;
  readonly kernels: Kernels;
  readonly pool = new Pool();
  /** Kernel calls so far on each floor, by name. */
  readonly calls = { native: new Map<string, number>(), ts: new Map<string, number>() };
  #capturing = false;
  #draws: ReturnType<typeof drawState> = { state: new Int32Array(3), changes: -1 };

  constructor(name: DeviceName, native: Partial<Kernels>) {
    this.name = name;
    this.kernels = counted({ ...reference, ...native }, (kernel) =>
      kernel in native ? this.calls.native : this.calls.ts,
    );
  }

  /** New memory; its content is undefined. */
  empty(dtype: DType, length: number): Storage {
    return new Storage(this, dtype, length);
  }

  /** New memory with the given values. */
  upload(dtype: DType, values: ArrayLike<number>): Storage {
    this.#refuse("tensor(host data)");
    const storage = this.empty(dtype, values.length);
    storage.buffer.set(values);
    return storage;
  }

  /** A copy of the memory. */
  download(storage: Storage): Buffer {
    this.#refuse("item(), data() or toArray()");
    return storage.buffer.slice();
  }

  /**
   * The state that random kernels draw from. A new array after each change: old graphs keep theirs.
   */
  draws(): Int32Array {
    const now = drawState();
    if (now.changes !== this.#draws.changes) this.#draws = now;
    return this.#draws.state;
  }

  /**
   * Prepares a step for replay: `step` takes and returns tensors, and so does the function
   * returned. On ts it just calls the step. Inside, nothing may pass between host and device:
   * reading a tensor or making one from host data throws, here as on a device that records.
   */
  capture<I extends unknown[], R>(step: (...inputs: I) => R, _inputs?: I): (...inputs: I) => R {
    return (...inputs) => {
      const outer = this.#capturing;
      this.#capturing = true;
      try {
        return step(...inputs);
      } finally {
        this.#capturing = outer;
      }
    };
  }

  toString(): string {
    return this.name;
  }

  #refuse(what: string): void {
    if (this.#capturing)
      fail(`${what} inside a captured step: pass tensors in, return them, and read them outside`);
  }
}

/** The same kernels, each counting its calls. */
function counted(kernels: Kernels, floor: (name: string) => Map<string, number>): Kernels {
  const wrap = ([name, kernel]: [string, (...args: never[]) => void]) => {
    const calls = floor(name);
    const call = (...args: never[]) => {
      calls.set(name, (calls.get(name) ?? 0) + 1);
      kernel(...args);
    };
    return [name, call];
  };
  return Object.fromEntries(Object.entries(kernels).map(wrap));
}

const made = new Map<DeviceName, Device>();
const names: DeviceName[] = ["cuda", "cpu", "ts", "cuda-emulator"]; // fastest first
let chosen: Device | null = null;

/** Why a device cannot be had; empty if it can. */
function whyNot(name: DeviceName): string {
  if (name === "ts") return "";
  if (name === "cuda-emulator") return "no emulator: this version of tinybard has none yet";
  return whyNoAddon(name);
}

/**
 * A device by name; `auto` is the fastest that works. Throws when one asked for by name cannot be
 * had.
 */
export function device(name: DeviceName | "auto" | Device): Device {
  if (name instanceof Device) return name;
  const wanted = name === "auto" ? names.find((each) => !whyNot(each)) : name;
  if (!wanted || !names.includes(wanted)) {
    throw new TypeError(`device: name is ${name}, expected auto, ${names.join(", ")}`);
  }
  const reason = whyNot(wanted);
  if (reason) throw new Error(`device ${wanted} cannot be had: ${reason}`);
  const found = made.get(wanted) ?? new Device(wanted, {});
  made.set(wanted, found);
  return found;
}

/** What every device has: whether it works or why not, and which kernels are not native on it. */
export function devices(): {
  name: DeviceName;
  available: boolean;
  reason: string;
  native: number;
  missing: string[];
}[] {
  return names.map((name) => {
    const reason = whyNot(name);
    return { name, available: !reason, reason, native: 0, missing: Object.keys(reference) };
  });
}

/** The device that new tensors live on where none is named; the fastest one at first. */
export function defaultDevice(): Device {
  chosen ??= device("auto");
  return chosen;
}

export function setDefaultDevice(name: DeviceName | "auto" | Device): void {
  chosen = device(name);
}
