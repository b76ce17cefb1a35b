// An instance of the WebAssembly module: its kernels, captured graphs and threads. It runs in Node
// and in browsers; the platform compiles the module and starts the workers.

import {
  type CapturedGraph,
  INTERFACE_VERSION,
  type NativeKernels,
  type WasmAddon,
} from "../addon.ts";
import type { Buffer } from "../buffers.ts";
import { Graphs } from "./graphs.ts";
import { ModuleMemory } from "./memory.ts";
import {
  type CompiledModule,
  type ModuleExports,
  type SharedMemory,
  toPointer,
  WebAssembly,
  type WorkerTask,
} from "./module.ts";
import { StagingArea } from "./staging.ts";

/** The results of a call, as in native/wasm/module.cpp. */
const results = { done: 0, unsupported: 1, typeError: 2, rangeError: 3 };

const STACK_BYTES = 2 ** 18;
const MAX_THREADS = 256;
/** Pages of 64 KB: all that 32-bit addresses reach, and what V8 allows with 64-bit addresses. */
const maxPages = { 32: 2 ** 16, 64: 2 ** 18 };
const MIN_PAGES = 2 ** 12;

/** The functions of the platform that the module needs. */
export interface WasmHost {
  /** Starts a worker thread that passes the task to serve(). */
  startWorker(task: WorkerTask): void;
  /** Collects garbage in the middle of a task. Does nothing where that is not possible. */
  collectGarbage(): void;
}

/** Instantiates the module on a memory of its own. */
export function instantiate(
  module: CompiledModule,
  simd: string,
  host: WasmHost,
  addressBits: 32 | 64 = 32,
): WasmAddon {
  const memory = makeMemory(addressBits);
  const native = makeInstance(module, memory);
  if (maySleep()) native.allowSleep();
  const buffers: ModuleMemory = new ModuleMemory(native, memory, () => {
    host.collectGarbage();
    if (graphs.sweep()) host.collectGarbage(); // they referred to buffers
  });
  const graphs = new Graphs(native, buffers);
  const staging = new StagingArea(native, buffers);
  const pool = new Workers(module, memory, native, host.startWorker);

  /** Runs a function of the module. Throws its errors. */
  const run = (call: () => number): number => {
    pool.startThreads();
    const result = guard(native, call);
    if (result === results.typeError) throw new TypeError(buffers.readText(native.message()));
    if (result === results.rangeError) throw new RangeError(buffers.readText(native.message()));
    return result;
  };

  const kernels: Record<string, (...args: unknown[]) => boolean> = {};
  const signatures: Record<string, string> = {};
  for (let i = 0; i < native.kernelCount(); i++) {
    const name = buffers.readText(native.kernelName(i));
    signatures[name] = buffers.readText(native.kernelSignature(i));
    kernels[name] = (...args) => {
      const used = guard(native, () => staging.write(name, args));
      const result = run(() => native.call(i, args.length));
      if (result === results.done) graphs.note(used);
      return result !== results.unsupported;
    };
  }
  return {
    kernels: kernels as unknown as NativeKernels,
    signatures,
    interfaceVersion: INTERFACE_VERSION,
    simd,
    beginCapture: () => guard(native, () => graphs.begin()),
    endCapture: () => graphs.end(),
    replay(graph: CapturedGraph) {
      const handle = graphs.handleToReplay(graph);
      run(() => native.replay(handle));
    },
    timeCalls(graph: CapturedGraph) {
      const handle = graphs.handleToReplay(graph);
      return Float64Array.from({ length: native.callCount(handle) }, (_, i) => {
        const start = performance.now();
        run(() => native.replayCall(handle, i));
        return performance.now() - start;
      });
    },
    releaseGraph: (graph) => graphs.release(graph),
    threads: (count) => pool.threads(count),
    startThreads: () => pool.startThreads(),
    alone: () => native.workAlone(),
    make: (dtype, length) => buffers.make(dtype, length),
    free(buffer: Buffer) {
      if (!graphs.defersFree(buffer)) buffers.free(buffer);
    },
    collectGarbage: () => buffers.collect(),
  };
}

/**
 * Returns a memory that can grow up to what addresses reach, or to less where the system reserves
 * less, as phones do. A shared memory grows without detaching the arrays on it; so it is shared
 * without threads too.
 */
function makeMemory(addressBits: 32 | 64): SharedMemory {
  for (let maximum = maxPages[addressBits]; ; maximum /= 2) {
    try {
      const limits = { initial: 64, maximum, shared: true } as const;
      if (addressBits === 32) return new WebAssembly.Memory(limits);
      const bigLimits = { initial: 64n, maximum: BigInt(maximum), shared: true } as const;
      return new WebAssembly.Memory({ ...bigLimits, address: "i64" });
    } catch (error) {
      if (maximum <= MIN_PAGES) throw error;
    }
  }
}

/** Returns true if this thread may sleep: any but the main thread of a page. */
function maySleep(): boolean {
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1); // returns at once, or throws
    return true;
  } catch {
    return false;
  }
}

function makeInstance(module: CompiledModule, memory: SharedMemory): ModuleExports {
  const env = {
    memory,
    throwOutOfMemory(bytes: number) {
      // 0: a worker thread has requested them
      const size = bytes > 0 ? `${bytes} bytes of` : "too much";
      throw new RangeError(`out of memory: a kernel requested ${size} workspace`);
    },
  };
  return new WebAssembly.Instance(module, { env }).exports as ModuleExports;
}

/** Calls the module. An error that ends the call leaves the module in order. */
function guard<T>(native: ModuleExports, call: () => T): T {
  const stack = native.__stack_pointer.value;
  try {
    return call();
  } catch (error) {
    native.__stack_pointer.value = stack;
    native.recover();
    throw error;
  }
}

/** The worker threads. They start with the first kernel, and stay. */
class Workers {
  readonly #module: CompiledModule;
  readonly #memory: SharedMemory;
  readonly #native: ModuleExports;
  readonly #startWorker: (task: WorkerTask) => void;
  #threads = 1; // including the caller
  #started = 1;

  constructor(
    module: CompiledModule,
    memory: SharedMemory,
    native: ModuleExports,
    startWorker: (task: WorkerTask) => void,
  ) {
    this.#module = module;
    this.#memory = memory;
    this.#native = native;
    this.#startWorker = startWorker;
  }

  /** Sets the number of threads if `count` is passed. Returns their number. */
  threads(count?: number): number {
    if (count === undefined) return this.#threads;
    if (!(Number.isInteger(count) && count >= 1 && count <= MAX_THREADS))
      throw new RangeError("threads: expected an integer from 1 to 256");
    this.#threads = count;
    this.#native.setThreads(count);
    return count;
  }

  /** Starts the workers that are missing. Without memory for their stacks there are fewer. */
  startThreads(): void {
    const native = this.#native;
    for (; this.#started < this.#threads; this.#started++) {
      const address = native.allocate(STACK_BYTES + Number(native.__tls_size.value));
      if (!address) {
        this.threads(this.#started);
        return;
      }
      const stack = toPointer(native, address + STACK_BYTES); // it grows downwards
      const task = { stack, tls: stack, index: this.#started };
      this.#startWorker({ module: this.#module, memory: this.#memory, ...task });
    }
  }
}
