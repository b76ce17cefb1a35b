// Loads the native addons, which contain the kernels of the devices cpu and cuda. If one is not
// available, returns the reason and the command that builds it.

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { join, relative, resolve } from "node:path";
import { isMainThread } from "node:worker_threads";
import { isDependency, rebuildCommand, root } from "../installation.ts";
import type { Kernels } from "./kernels.ts";
import { hasGPU, probe } from "./probe.ts";
import { type MatmulTable, MatmulTuning } from "./tuning.ts";

/** Kernels that return false, having done nothing, if the buffers are Float64Arrays. */
export type NativeKernels = {
  [K in keyof Kernels]: (...args: Parameters<Kernels[K]>) => boolean;
};

/** The exports of every addon. */
interface Exports {
  readonly kernels: NativeKernels;
  /** Each kernel's parameters as kernels.def declares them: kinds, types, names and lengths. */
  readonly signatures: Record<string, string>;
  /** The version of the functions that are not kernels. */
  readonly interfaceVersion: number;
  beginCapture(): void;
  endCapture(): CapturedGraph | undefined;
  /** Runs all calls of a graph again, in order, on the same memory. */
  replay(graph: CapturedGraph): void;
  /** Frees a graph, by default all of them, and the memory that only it uses. */
  releaseGraph(graph?: CapturedGraph): void;
}

export interface CpuAddon extends Exports {
  /** The instruction set in use. */
  readonly simd: string;
  /** Sets the number of threads if `count` is passed. Returns their number. */
  threads(count?: number): number;
  /** From now on, kernels called by this JavaScript thread do not use the thread pool. */
  alone(): void;
  /** Returns the offset of the first cache line that starts in a buffer. */
  alignment(buffer: ArrayBuffer): number;
}

/** Device memory, which JavaScript cannot read. If one is dropped, sweep() returns its memory. */
export interface DeviceBuffer {
  readonly length: number;
  readonly byteLength: number;
}

export interface CudaAddon extends Exports, MatmulTable {
  /** The name of the GPU. */
  readonly processor: string;
  /** The matmul library in use, or why there is none. */
  readonly matmul: string;
  /** Returns null if the device is out of memory. */
  allocate(dtype: string, length: number): DeviceBuffer | null;
  free(buffer: DeviceBuffer): void;
  /**
   * Returns the memory of buffers that were garbage-collected, as new buffers; if
   * `isFinalizedOnly`, of those whose finalizers have run.
   */
  sweep(isFinalizedOnly: boolean): (DeviceBuffer & { readonly dtype: string })[];
  /** Makes V8 collect garbage now. */
  collectGarbage(): void;
  write(buffer: DeviceBuffer, values: Float64Array | Float32Array | Int32Array): void;
  /** Waits for the device. Throws if a kernel met an index out of range since the last read. */
  read(buffer: DeviceBuffer): Float32Array | Int32Array;
  /** Waits for all kernels. */
  synchronize(): void;
  /** Returns the numbers of kernel launches, copies to the host and allocations so far. */
  counts(): { launches: number; reads: number; allocations: number };
  /** Returns the milliseconds that the device takes for `count` replays. */
  timeReplays(graph: CapturedGraph, count: number): number;
  /** Chooses whether f32 matmuls may round their inputs to tf32. */
  setTf32(on: boolean): void;
  /** Times the library's algorithms for the matmuls so far, and chooses the fastest. */
  tune(): void;
}

export type Addon = CpuAddon | CudaAddon;

/** The kernel calls between beginCapture() and endCapture(). */
export type CapturedGraph = { readonly calls: unique symbol };

/**
 * The version of the kernel interface: an addon with other kernels or parameters is not loaded.
 * After a change of kernels.def, the new hash is in the reason that `addonOf` returns.
 */
const KERNELS_HASH = "3940789e82d29b90";

/** The version of the other functions, as in native/napi/binding.cpp. */
const INTERFACE_VERSION = 2;

const require = createRequire(import.meta.url);
const found = new Map<string, Addon | string>();

/** The addon of a device, or the reason why it is not available. */
export function addonOf(name: "cpu"): CpuAddon | string;
export function addonOf(name: "cuda" | "cuda-emulator"): CudaAddon | string;
export function addonOf(name: keyof typeof sources): Addon | string;
export function addonOf(name: keyof typeof sources): Addon | string {
  const addon = found.get(name) ?? load(name);
  found.set(name, addon);
  return addon;
}

/** The file and the build command of each addon. Tests set environment variables for others. */
const sources = {
  cpu: {
    what: "C++ addon",
    file: process.env.TINYBARD_ADDON ?? "build/Release/cpu.node",
    fix: rebuildCommand(),
  },
  cuda: {
    what: "CUDA addon",
    file: process.env.TINYBARD_CUDA_ADDON ?? "build-cuda/Release/cuda.node",
    fix: buildCommand("build:cuda", "cuda.cjs"),
  },
  "cuda-emulator": {
    what: "CUDA emulator",
    file: process.env.TINYBARD_EMULATOR ?? "build-emulator/Release/cuda.node",
    fix: buildCommand("build:emulator", "cuda.cjs", "--emulator"),
  },
};

/** The command that builds an addon. `npm run` in a user's project does not find our scripts. */
function buildCommand(npmScript: string, file: string, flag = ""): string {
  if (!isDependency) return `npm run ${npmScript}`;
  const script = relative(process.cwd(), join(root, "scripts", file));
  return `node ${script} ${flag}`.trim();
}

function load(name: keyof typeof sources): Addon | string {
  const { what, file, fix } = sources[name];
  const path = resolve(root, file);
  if (!existsSync(path)) {
    if (name === "cuda" && !hasGPU()) return "no NVIDIA GPU found";
    const log = join(root, "build", "install.log"); // of the build at installation
    const seeLog = name === "cpu" && existsSync(log) ? ` (log: ${log})` : "";
    return `no ${what}: it has not been built${seeLog}; ${fix}`;
  }
  try {
    const reason = name === "cuda" ? probe(path) : null;
    if (reason) return `the ${what} does not work here: ${reason}`;
    const addon = require(path)[name === "cpu" ? "cpu" : "cuda"] as Addon;
    const hash = hashSignatures(addon.signatures);
    if (hash !== KERNELS_HASH)
      return `no ${what}: built for another version (${hash}, not ${KERNELS_HASH}); ${fix}`;
    if (addon.interfaceVersion !== INTERFACE_VERSION)
      return `no ${what}: built for an earlier version; ${fix}`;
    if ("threads" in addon && (isMainThread || addon.threads() === 1))
      addon.threads(Math.min(availableParallelism(), 256)); // only the first environment sets it
    if ("setMatmulTable" in addon) new MatmulTuning(addon).load();
    return addon;
  } catch (error) {
    return `no ${what}: ${(error as Error).message.split("\n")[0]}; ${fix}`;
  }
}

/** Hashes the declarations of all kernels, without white space, which depends on the compiler. */
function hashSignatures(signatures: Record<string, string> = {}): string {
  const text = JSON.stringify(signatures).replace(/\s/g, "");
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}
