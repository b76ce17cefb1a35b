// The types of the WebAssembly module (native/wasm), and of the parts of WebAssembly that are used:
// TypeScript declares them only together with the DOM.

/** A compiled module. */
export type CompiledModule = { readonly module: unique symbol };

/** A memory that threads share. It grows without detaching the arrays on it. */
export interface SharedMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: Pointer): Pointer;
}

/** The exports of the module. Addresses and sizes are numbers of bytes. */
export interface ModuleExports {
  allocate(bytes: number): number;
  free(address: number): void;
  /** Returns the address of the staging area, with room for `count` arguments. */
  stage(count: number): number;
  /**
   * Calls a kernel with the first `count` staged arguments; returns a result of
   * native/wasm/module.cpp.
   */
  call(kernel: number, count: number): number;
  message(): number;
  beginCapture(): void;
  endCapture(): number;
  replay(graph: number): number;
  callCount(graph: number): number;
  replayCall(graph: number, index: number): number;
  releaseGraph(graph: number): void;
  kernelCount(): number;
  kernelName(kernel: number): number;
  kernelSignature(kernel: number): number;
  setThreads(count: number): void;
  workAlone(): void;
  /** Lets the calling thread sleep while it waits for workers. */
  allowSleep(): void;
  serve(index: number): void;
  recover(): void;
  __wasm_init_tls(address: Pointer): void;
  readonly __tls_size: { value: Pointer };
  readonly __stack_pointer: { value: Pointer };
}

/** An address as the engine itself takes it: a bigint if addresses have 64 bits. */
export type Pointer = number | bigint;

/** Converts an address to what the module takes. */
export function toPointer(native: ModuleExports, address: number): Pointer {
  return typeof native.__stack_pointer.value === "bigint" ? BigInt(address) : address;
}

/** The limits of a memory. */
interface MemoryLimits<P extends Pointer> {
  initial: P;
  maximum: P;
  shared: true;
}

/** The parts of WebAssembly that are used. */
export interface WebAssemblyNamespace {
  Module: new (bytes: Uint8Array) => CompiledModule;
  Memory: new (
    limits: MemoryLimits<number> | (MemoryLimits<bigint> & { address: "i64" }),
  ) => SharedMemory;
  Instance: new (module: CompiledModule, imports: object) => { readonly exports: unknown };
  compile(bytes: ArrayBuffer | Uint8Array): Promise<CompiledModule>;
  validate(bytes: Uint8Array): boolean;
}

export const { WebAssembly } = globalThis as unknown as { WebAssembly: WebAssemblyNamespace };

/** The task of a worker thread, which runs kernels: an instance of its own on the same memory. */
export interface WorkerTask {
  module: CompiledModule;
  memory: SharedMemory;
  /** The addresses of the end of the thread's stack, and of its thread-local variables. */
  stack: Pointer;
  tls: Pointer;
  /** The part of each kernel that it computes. */
  index: number;
}

/**
 * Computes parts of kernels in a worker; never returns. The text of this function is the script of
 * browsers' workers, so it refers to nothing outside of it.
 */
export function serve({ module, memory, stack, tls, index }: WorkerTask): void {
  const { Instance } = (globalThis as unknown as { WebAssembly: WebAssemblyNamespace }).WebAssembly;
  const env = {
    memory,
    throwOutOfMemory() {
      throw new RangeError("out of memory");
    },
  };
  const exports = new Instance(module, { env }).exports as ModuleExports;
  exports.__stack_pointer.value = stack;
  exports.__wasm_init_tls(tls);
  for (;;) {
    try {
      exports.serve(index);
    } catch {
      exports.__stack_pointer.value = stack;
      exports.recover(); // the calling thread throws the error
    }
  }
}
