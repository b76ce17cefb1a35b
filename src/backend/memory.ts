// The memory of a device: storages with a lifetime, and the pool that recycles their buffers.

import { fail } from "../errors.ts";
import type { Buffer, Memory } from "./buffers.ts";
import type { DType, Floats, Kernels } from "./kernels.ts";

/** The device has no memory left for a request. Nothing is lost: free something and retry. */
export class OutOfMemoryError extends Error {
  override name = "OutOfMemoryError";
}

/** The parts of a device that a storage uses. */
interface StorageDevice {
  readonly pool: Pool;
  readonly kernels: Pick<Kernels, "copy">;
  readonly captureLog: { note(changing: { version: number }): void } | null;
}

/** A buffer with the number of tensors that share it. */
export class Storage<D extends StorageDevice = StorageDevice> {
  readonly device: D;
  readonly dtype: DType;
  readonly length: number;
  /** Counts changes in place, so that backward() notices that an input was overwritten. */
  version = 0;
  /** True for parameters, gradients and optimizer state: no scope frees them. */
  persistent = false;
  readonly #pool: Pool;
  #refCount = 1;
  #buffer: Buffer | null;
  #bf16Copy: Storage<D> | null = null;
  #hasFinalizer = false;

  constructor(device: D, dtype: DType, length: number) {
    this.device = device;
    this.dtype = dtype;
    this.length = length;
    this.#pool = device.pool;
    this.#buffer = this.#pool.take(dtype, length);
  }

  /** Counts a change of the content; `withBf16Copy` says that `bf16Copy` was updated too. */
  bumpVersion(withBf16Copy = false): void {
    this.device.captureLog?.note(this);
    this.version++;
    if (this.#bf16Copy && !withBf16Copy) this.#copyTo(this.#bf16Copy);
  }

  get hasBf16Copy(): boolean {
    return this.#bf16Copy !== null;
  }

  /** The elements in bf16: a copy that is made at the first use and updated from then on. */
  get bf16Copy(): Buffer {
    if (!this.#bf16Copy) {
      this.#bf16Copy = new Storage(this.device, "bf16", this.length);
      this.#bf16Copy.registerFinalizer();
      this.#copyTo(this.#bf16Copy);
    }
    return this.#bf16Copy.buffer;
  }

  #copyTo(other: Storage<D>): void {
    this.device.kernels.copy(this.buffer as Floats, other.buffer as Floats, this.length);
  }

  get buffer(): Buffer {
    return this.#buffer ?? fail("this memory has been returned to the pool");
  }

  /** Adds a reference. */
  retain(): this {
    this.#refCount++;
    return this;
  }

  /** Removes a reference; when none are left the buffer returns to the pool. */
  release(): void {
    this.#refCount--;
    if (this.#refCount > 0 || !this.#buffer) return;
    this.#bf16Copy?.dispose();
    this.#pool.give(this.dtype, this.#buffer);
    this.#buffer = null;
    if (this.#hasFinalizer) finalizers.unregister(this);
  }

  /** Returns the buffer to the pool although tensors may share it: reading them throws. */
  dispose(): void {
    this.#refCount = 1;
    this.release();
  }

  /** Returns the buffer to the pool once the storage is unreachable. */
  registerFinalizer(): void {
    if (this.#hasFinalizer || !this.#buffer) return;
    this.#hasFinalizer = true;
    const held = { pool: this.#pool, dtype: this.dtype, buffer: this.#buffer };
    finalizers.register(this, held, this);
  }
}

/** Finalizers run between tasks, never inside a synchronous loop. */
const finalizers = new FinalizationRegistry<{ pool: Pool; dtype: DType; buffer: Buffer }>(
  ({ pool, dtype, buffer }) => pool.give(dtype, buffer),
);

/**
 * Caches freed buffers by dtype and length, so that a loop allocates only in its first iterations,
 * and the same sequence of sizes gets the same buffers. Counts bytes and allocations.
 */
export class Pool {
  liveBytes = 0;
  peakBytes = 0;
  freeBytes = 0;
  allocations = 0;
  /** Fills returned buffers with NaN, so that a test notices a use after free. */
  poison = process.env.TINYBARD_POISON === "1";
  readonly #free = new Map<string, Buffer[]>();
  readonly #memory: Memory;

  constructor(memory: Memory) {
    this.#memory = memory;
  }

  take(dtype: DType, length: number): Buffer {
    const cached = this.#free.get(dtype + length)?.pop();
    const buffer = cached ?? this.#allocate(dtype, length);
    if (cached) this.freeBytes -= buffer.byteLength;
    this.liveBytes += buffer.byteLength;
    this.peakBytes = Math.max(this.peakBytes, this.liveBytes);
    return buffer;
  }

  give(dtype: DType, buffer: Buffer): void {
    if (this.poison) this.#memory.write(buffer, new Float64Array(buffer.length).fill(NaN));
    const key = dtype + buffer.length;
    const stack = this.#free.get(key);
    if (stack) stack.push(buffer);
    else this.#free.set(key, [buffer]);
    this.liveBytes -= buffer.byteLength;
    this.freeBytes += buffer.byteLength;
  }

  #allocate(dtype: DType, length: number): Buffer {
    if (this.freeBytes > this.peakBytes) this.trim(); // cached sizes are no longer in use
    const buffer = this.#memory.allocate(dtype, length) ?? this.#allocateAfterTrim(dtype, length);
    this.allocations++;
    return buffer;
  }

  #allocateAfterTrim(dtype: DType, length: number): Buffer {
    this.trim();
    const buffer = this.#memory.allocate(dtype, length);
    if (buffer) return buffer;
    const MB = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
    const requested = MB(length * bytesPerElement[dtype]);
    throw new OutOfMemoryError(
      `out of memory: ${requested} requested, ${MB(this.liveBytes)} in use`,
    );
  }

  /** Frees all cached buffers. */
  trim(): void {
    for (const buffer of [...this.#free.values()].flat()) this.#memory.free(buffer);
    this.#free.clear();
    this.freeBytes = 0;
  }
}

const bytesPerElement = { f32: 4, f64: 8, i32: 4, bf16: 2 };
