// A device: the kernels of a backend and the memory that they work on.

import { platform } from "#platform";
import { fail } from "../errors.ts";
import { inspectSymbol } from "../printing.ts";
import { rngState } from "../random.ts";
import type { Addon } from "./addon.ts";
import {
  type Allocator,
  type Buffer,
  deviceMemory,
  hostMemory,
  type Memory,
  wasmMemory,
} from "./buffers.ts";
import { captureStep, invalidateCaptures } from "./capture.ts";
import type { CaptureLog } from "./capture-log.ts";
import { KernelCounts, makeDispatchTable } from "./dispatch.ts";
import type { DType, Kernels } from "./kernels.ts";
import { Storage as DeviceStorage } from "./memory.ts";
import { Pool } from "./pool.ts";
import { setBf16 } from "./ts/bf16.ts";
import type { MatmulTuning } from "./tuning.ts";

export type { Buffer } from "./buffers.ts";
export type { DType, Floats, Kernels } from "./kernels.ts";
export { OutOfMemoryError } from "./pool.ts";

/**
 * The precision of matmuls of f32 tensors: "highest" computes in f32. "medium" may round their
 * inputs, to bf16 or on cuda to TF32, and adds the products in f32.
 */
export type MatmulPrecision = "highest" | "medium";

/** Names of the devices: TypeScript, WebAssembly, C++, CUDA, and the CUDA kernels on the CPU. */
export type DeviceName = "ts" | "wasm" | "cpu" | "cuda" | "cuda-emulator";
export type Storage = DeviceStorage<Device>;

function makeAllocator(addon: Addon | null): Allocator {
  if (addon === null) return hostMemory();
  if ("allocate" in addon) return deviceMemory(addon);
  return "make" in addon ? wasmMemory(addon) : hostMemory(addon.alignment);
}

/** Holds tensors and runs kernels on them. */
export class Device {
  /** The name, such as cpu. */
  readonly name: DeviceName;
  /** @internal */
  readonly kernels: Kernels;
  /** @internal */
  readonly calls = new KernelCounts();
  /** @internal */
  readonly addon: Addon | null;
  /** @internal */
  readonly memory: Memory;
  /** The tuned algorithms of matmuls, where the backend has a choice. @internal */
  readonly tuning: MatmulTuning | null;
  /** Set while a step is captured: what the step does besides calling kernels. @internal */
  captureLog: CaptureLog | null = null;
  /**
   * True while a function that capture() returned is running: transfers between host and device
   * throw.
   * @internal
   */
  isInsideStep = false;
  #matmulPrecision: MatmulPrecision = "highest";
  readonly #pool: Pool;
  #rngState: Int32Array | null = null;
  #rngChange = -1; // the number of the generator's state that #rngState holds

  /** @internal */
  constructor(name: DeviceName, addon: Addon | null) {
    this.name = name;
    this.addon = addon;
    const allocator = makeAllocator(addon);
    this.memory = allocator;
    this.#pool = new Pool(allocator, () => {
      addon?.releaseGraph();
      invalidateCaptures();
    });
    this.tuning = platform.makeTuning(addon);
    this.kernels = makeDispatchTable(addon?.kernels ?? {}, this.calls, {
      onFallback: () => {
        if (this.captureLog) this.captureLog.isComplete = false;
      },
      makeRoom: () => this.pool.reclaim(),
    });
  }

  /** The pool that buffers come from; a captured step has one of its own. @internal */
  get pool(): Pool {
    return this.captureLog?.pool ?? this.#pool;
  }

  /** Returns `length` elements with undefined content. @internal */
  empty(dtype: DType, length: number): Storage {
    return new DeviceStorage<Device>(this, dtype, length);
  }

  /** Copies values from the host to the device. @internal */
  upload(dtype: DType, values: ArrayLike<number>): Storage {
    this.#checkNotCapturing("tensor(host data)");
    const storage = this.empty(dtype, values.length);
    this.memory.write(storage.buffer, values);
    return storage;
  }

  /** Copies values from the device to the host. @internal */
  download(storage: Storage): Buffer {
    this.#checkNotCapturing("item(), data() or toArray()");
    return this.memory.read(storage.buffer);
  }

  /**
   * Returns the RNG state that random kernels read, in a new buffer after each change, so that
   * the backward pass of an earlier forward still reads the state of its dropout masks.
   * @internal
   */
  rngState(): Int32Array {
    if (this.captureLog) return this.captureLog.rngState.buffer as Int32Array;
    const { state, change } = rngState();
    if (!this.#rngState || change !== this.#rngChange) {
      this.#rngState = this.memory.takesAnyArray ? state : this.#uploadRngState(state);
      this.#rngChange = change;
    }
    return this.#rngState;
  }

  /**
   * Returns a function that runs `step`, and replays its kernel calls from the third call on: as a
   * CUDA graph on cuda, in one native call on cpu and wasm; on ts it just calls `step`. It is
   * captured again when a shape, dtype, mode, the matmul precision or the set of gradients has
   * changed, and not captured if it needs over 256 MB on a host device. The step takes and returns
   * tensors; the next call overwrites results. Whatever else the step reads is frozen, except for
   * the learning rate, the RNG state and the modules' train/eval mode. Reading a tensor or making
   * one from host data inside the step throws.
   */
  capture<I extends unknown[], R>(step: (...inputs: I) => R, _inputs?: I): (...inputs: I) => R {
    return captureStep(this, step);
  }

  /** The precision of f32 matmuls. @internal */
  get matmulPrecision(): MatmulPrecision {
    return this.#matmulPrecision;
  }

  /** @internal */
  set matmulPrecision(precision: MatmulPrecision) {
    this.#matmulPrecision = precision;
    const { addon } = this;
    const isMedium = precision === "medium";
    if (!addon) setBf16(isMedium);
    else if ("setBf16" in addon) addon.setBf16(isMedium);
    else if ("setTf32" in addon) addon.setTf32(isMedium);
  }

  /** Runs a synchronous function with a precision of f32 matmuls. @internal */
  withMatmulPrecision<T>(precision: MatmulPrecision, fn: () => T): T {
    const previous = this.#matmulPrecision;
    this.matmulPrecision = precision;
    try {
      return fn();
    } finally {
      this.matmulPrecision = previous;
    }
  }

  /** Why "medium" computes in f32 on this device; empty if it does not. @internal */
  get precisionFallback(): string {
    const { addon } = this;
    if (!addon || ("hasBf16" in addon && addon.hasBf16)) return "";
    const processor = "simd" in addon ? addon.simd : addon.processor;
    const what = this.name === "wasm" ? "WebAssembly" : processor;
    return (
      `matmul precision medium: device ${this.name} computes in f32, ` +
      `because ${what} has no bf16 instructions`
    );
  }

  /** Returns the name. */
  toString(): string {
    return this.name;
  }

  /** @internal */
  [inspectSymbol](): string {
    return `Device(${this.name})`;
  }

  #uploadRngState(state: Int32Array): Int32Array {
    const storage = this.empty("i32", state.length);
    storage.registerFinalizer(); // it is freed with the last closure that holds its buffer
    this.memory.write(storage.buffer, state);
    return storage.buffer as Int32Array;
  }

  #checkNotCapturing(call: string): void {
    if (this.isInsideStep)
      fail(`${call} inside a captured step: pass tensors in, return them, and read them outside`);
  }
}
