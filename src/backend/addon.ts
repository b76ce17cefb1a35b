// The interface of the compiled kernels: of the native addons, which contain those of the devices
// cpu and cuda, and of the WebAssembly module. The files in platform/ load them.

import type { Floats, Kernels } from "./kernels.ts";
import type { MatmulTable } from "./tuning.ts";

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

/** The processes that train together, as an addon connects them. Calls are collective. */
export interface ProcessGroup {
  /** From now on, a call that waits for longer prints the message and ends the process, code 1. */
  watch(seconds: number, message: string): void;
  /** Overwrites the bytes of all ranks with those of rank `root`. */
  broadcast(bytes: Uint8Array, root: number): void;
  /** all = the bytes of each rank, by rank. `own` has the same length on every rank. */
  allGather(own: Uint8Array, all: Uint8Array): void;
  /** Ends all ranks, as far as the library can. */
  abort(exitCode: number): void;
  /** Leaves in order: the last call of each rank. */
  leave(): void;
}

/** A process group of MPI. */
export interface MPIGroup extends ProcessGroup {
  /** Opens an MPI library. Returns its name and version. */
  open(library: string): string;
  /** Joins through the library; throws unless it sees `size` processes. Returns the rank. */
  join(size: number): number;
}

/** A process group of NCCL: one GPU for each rank. */
export interface NCCLGroup extends ProcessGroup {
  /** Opens NCCL. Returns its name and version. */
  open(): string;
  /** Returns the id of a new group; with NCCL_COMM_ID set, the same one on every rank. */
  createId(): Uint8Array;
  /** Joins the ranks with the same id. */
  join(id: Uint8Array, size: number, rank: number): void;
}

export interface CpuAddon extends Exports {
  readonly processGroup: MPIGroup;
  /** The instruction set in use. */
  readonly simd: string;
  /** True if the processor multiplies bf16. */
  readonly hasBf16: boolean;
  /** Chooses whether f32 matmuls round their inputs to bf16, where the processor can. */
  setBf16(isOn: boolean): void;
  /** Sets the number of threads if `count` is passed. Returns their number. */
  threads(count?: number): number;
  /** Replays a graph. Returns the milliseconds that each call takes. */
  timeCalls(graph: CapturedGraph): Float64Array;
  /** From now on, kernels called by this JavaScript thread do not use the thread pool. */
  alone(): void;
  /** Returns the offset of the first cache line that starts in a buffer. */
  alignment(buffer: ArrayBuffer): number;
}

export interface WasmAddon extends Exports {
  /** The instruction set in use: simd128, or relaxed if multiply-adds may round once. */
  readonly simd: string;
  /** Sets the number of threads if `count` is passed. Returns their number. */
  threads(count?: number): number;
  /** Starts the worker threads now, rather than with the first kernel. */
  startThreads(): void;
  /** Replays a graph. Returns the milliseconds that each call takes. */
  timeCalls(graph: CapturedGraph): Float64Array;
  /** From now on, kernels do not use worker threads. */
  alone(): void;
  /** Returns a buffer with undefined content; null if the module's memory is full. */
  make(dtype: "f32" | "f64" | "i32", length: number): Floats | Int32Array | null;
  /** Frees a buffer: it must not be used any more, except by captured graphs. */
  free(buffer: Floats | Int32Array): void;
  /** Frees the buffers that JavaScript has dropped, where the platform can find them. */
  collectGarbage(): void;
}

/** Device memory, which JavaScript cannot read. If one is dropped, sweep() returns its memory. */
export interface DeviceBuffer {
  readonly length: number;
  readonly byteLength: number;
}

export interface CudaAddon extends Exports, MatmulTable {
  readonly processGroup: NCCLGroup;
  /** The name of the GPU. */
  readonly processor: string;
  /** True if the GPU multiplies bf16 and tf32: since Ampere, compute capability 8.0. */
  readonly hasBf16: boolean;
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
  /** Chooses whether f32 matmuls may round their inputs to tf32, where the GPU can. */
  setTf32(on: boolean): void;
  /** Times the library's algorithms for the matmuls so far, and chooses the fastest. */
  tune(): void;
}

export type Addon = CpuAddon | WasmAddon | CudaAddon;

/** The kernel calls between beginCapture() and endCapture(). */
export type CapturedGraph = { readonly calls: unique symbol };

/**
 * The version of the kernel interface: an addon with other kernels or parameters is not loaded.
 * After a change of kernels.def, the new hash is in the reason that `addonOf` returns.
 */
const KERNELS_HASH = "a58d6901";

/** The version of the other functions, as in native/napi/binding.cpp. */
export const INTERFACE_VERSION = 5;

/** Returns how the addon's version differs from this package's, or null if it fits. */
export function findMismatch({ signatures, interfaceVersion }: Exports): string | null {
  const hash = hashSignatures(signatures);
  if (hash !== KERNELS_HASH) return `built for another version (${hash}, not ${KERNELS_HASH})`;
  return interfaceVersion === INTERFACE_VERSION ? null : "built for an earlier version";
}

/**
 * Returns the FNV-1a hash of the declarations of all kernels. White space depends on the compiler
 * and does not count.
 */
function hashSignatures(signatures: Record<string, string> = {}): string {
  let hash = 0x811c9dc5;
  for (const character of JSON.stringify(signatures).replace(/\s/g, ""))
    hash = Math.imul(hash ^ (character.codePointAt(0) as number), 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, "0");
}
