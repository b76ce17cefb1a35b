// Finds the native addons, which bring the kernels of the devices cpu and cuda; where one cannot be
// had, says why and what to do.

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { isMainThread } from "node:worker_threads";
import type { Kernels } from "./kernels.ts";
import { probe } from "./probe.ts";
import { type MatmulTable, MatmulTuning } from "./tuning.ts";

/** Kernels that return false, having done nothing, if the buffers are Float64Arrays. */
export type NativeKernels = {
  [K in keyof Kernels]: (...args: Parameters<Kernels[K]>) => boolean;
};

/** What an addon exports for a device. */
interface Exports {
  readonly kernels: NativeKernels;
  /** Each kernel's parameters as kernels.def declares them: kinds, types, names and lengths. */
  readonly signatures: Record<string, string>;
  beginCapture(): void;
  endCapture(): CapturedGraph | undefined;
  /** Runs all calls of a recording again, in order, on the memory that they had. */
  replay(recording: CapturedGraph): void;
}

export interface CpuAddon extends Exports {
  /** The instruction set that its kernels use here. */
  readonly simd: string;
  /** Sets how many threads work, if a number is given; gives how many do. */
  threads(count?: number): number;
  /** From now on the calling JavaScript thread works by itself, and leaves the pool to others. */
  alone(): void;
  /** The offset of the first byte of a buffer that begins a cache line. */
  alignment(buffer: ArrayBuffer): number;
}

/** Memory on the device: not to be read here. The collector frees it too. */
export interface DeviceBuffer {
  readonly length: number;
  readonly byteLength: number;
}

export interface CudaAddon extends Exports, MatmulTable {
  /** The name of the processor, and what multiplies its matrices. */
  readonly processor: string;
  readonly matmul: string;
  /** Null if there is no room. */
  allocate(dtype: string, length: number): DeviceBuffer | null;
  free(buffer: DeviceBuffer): void;
  write(buffer: DeviceBuffer, values: Float64Array | Float32Array | Int32Array): void;
  /** Waits for the device. Throws if a kernel was given an index out of range meanwhile. */
  read(buffer: DeviceBuffer): Float32Array | Int32Array;
  /** Waits until all kernels are done. */
  synchronize(): void;
  /** Counts since the start: launches of kernels, copies to the host, allocations. */
  counts(): { launches: number; reads: number; allocations: number };
  /** Milliseconds that the device takes for so many replays. */
  timeReplays(recording: CapturedGraph, count: number): number;
  /** Sets whether products of f32 may round their factors to tf32. */
  setTf32(on: boolean): void;
  /** Times the library's algorithms for the products that it has computed, and takes the best. */
  tune(): void;
}

export type Addon = CpuAddon | CudaAddon;

/** Calls of kernels that came between beginCapture() and endCapture(). */
export type CapturedGraph = { readonly calls: unique symbol };

/**
 * The version of the kernel interface: an addon with other kernels or parameters is not loaded.
 * After a change of kernels.def, the new hash is in the reason that `addonOf` returns.
 */
const KERNELS_HASH = "14158b8ab973e326";

const require = createRequire(import.meta.url);
const root = fileURLToPath(new URL("../..", import.meta.url));
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

/** Where each addon lies, how it calls itself, and how it is built; another file for tests. */
const sources = {
  cpu: {
    what: "C++ addon",
    file: process.env.TINYBARD_ADDON ?? "build/Release/cpu.node",
    fix: buildCommand("build:native", "install.cjs", "--require"),
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
  if (!root.split(sep).includes("node_modules")) return `npm run ${npmScript}`;
  const script = relative(process.cwd(), join(root, "scripts", file));
  return `node ${script} ${flag}`.trim();
}

function load(name: keyof typeof sources): Addon | string {
  const { what, file, fix } = sources[name];
  const path = resolve(root, file);
  if (!existsSync(path)) return `no ${what}: it has not been built; ${fix}`;
  try {
    const reason = name === "cuda" ? probe(path) : null;
    if (reason) return `the ${what} does not work here: ${reason}`;
    const addon = require(path)[name === "cpu" ? "cpu" : "cuda"] as Addon;
    const hash = hashSignatures(addon.signatures);
    if (hash !== KERNELS_HASH)
      return `no ${what}: the one there is of another version (kernels ${hash}); ${fix}`;
    if ("threads" in addon && (isMainThread || addon.threads() === 1))
      addon.threads(Math.min(availableParallelism(), 256)); // who loads it later leaves the number
    if ("setMatmulTable" in addon) new MatmulTuning(addon).load();
    return addon;
  } catch (error) {
    return `no ${what}: ${(error as Error).message.split("\n")[0]}; ${fix}`;
  }
}

/** Hashes the declarations of all kernels, whatever the white space that a compiler puts there. */
function hashSignatures(signatures: Record<string, string> = {}): string {
  const text = JSON.stringify(signatures).replace(/\s/g, "");
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}
