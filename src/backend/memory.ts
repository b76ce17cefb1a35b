// Memory on a device: storages, which have an end, and the pool that buffers come from and go back
// to.

import { fail } from "../errors.ts";
import type { Buffer, Memory } from "./buffers.ts";
import type { Device } from "./device.ts";
import type { DType, Floats } from "./kernels.ts";

/** The device has no memory left for what was asked. Nothing is lost: free something and go on. */
export class OutOfMemoryError extends Error {
  override name = "OutOfMemoryError";
}

/** A buffer, counted by the tensors that share it. */
export class Storage {
  readonly device: Device;
  readonly dtype: DType;
  readonly length: number;
  /** Counts changes in place, so that backward() notices an input that is no longer what it was. */
  version = 0;
  persistent = false;
  readonly #pool: Pool;
  #refCount = 1;
  #buffer: Buffer | null;
  #bf16Copy: Storage | null = null;
  #hasFinalizer = false;

  constructor(device: Device, dtype: DType, length: number) {
    this.device = device;
    this.dtype = dtype;
    this.length = length;
    this.#pool = device.pool;
    this.#buffer = this.#pool.take(dtype, length);
  }

  /** To be called when the content changes; says whether that of `bf16Copy` has been changed too. */
  bumpVersion(withBf16Copy = false): void {
    this.device.captureLog?.note(this);
    this.version++;
    if (this.#bf16Copy && !withBf16Copy) this.#copyTo(this.#bf16Copy);
  }

  get hasBf16Copy(): boolean {
    return this.#bf16Copy !== null;
  }

  /** The same numbers in bf16, made when first asked for, and from then on kept like these. */
  get bf16Copy(): Buffer {
    if (!this.#bf16Copy) {
      this.#bf16Copy = new Storage(this.device, "bf16", this.length);
      this.#bf16Copy.registerFinalizer();
      this.#copyTo(this.#bf16Copy);
    }
    return this.#bf16Copy.buffer;
  }

  #copyTo(other: Storage): void {
    this.device.kernels.copy(this.buffer as Floats, other.buffer as Floats, this.length);
  }

  get buffer(): Buffer {
    return this.#buffer ?? fail("this memory has been given back");
  }

  retain(): this {
    this.#refCount++;
    return this;
  }

  /** One owner less; the last one gives the memory back. */
  release(): void {
    if (--this.#refCount > 0 || !this.#buffer) return;
    this.#bf16Copy?.dispose();
    this.#pool.give(this.dtype, this.#buffer);
    this.#buffer = null;
    if (this.#hasFinalizer) finalizers.unregister(this);
  }

  /** Gives the memory back now, whoever shares it: to read it is an error from here on. */
  dispose(): void {
    this.#refCount = 1;
    this.release();
  }

  /** From now on the garbage finalizers gives the memory back, when nobody can reach it. */
  registerFinalizer(): void {
    if (this.#hasFinalizer || !this.#buffer) return;
    this.#hasFinalizer = true;
    const held = { pool: this.#pool, dtype: this.dtype, buffer: this.#buffer };
    finalizers.register(this, held, this);
  }
}

/**
 * Gives back the memory of storages that nobody can reach. It runs between tasks, never in a loop.
 */
const finalizers = new FinalizationRegistry<{ pool: Pool; dtype: DType; buffer: Buffer }>(
  ({ pool, dtype, buffer }) => pool.give(dtype, buffer),
);

/**
 * Returned buffers, waiting to be taken again: a loop allocates only in its first rounds. The same
 * sequence of sizes gets the same buffers. Counts bytes and allocations.
 */
export class Pool {
  liveBytes = 0;
  peakBytes = 0;
  freeBytes = 0;
  allocations = 0;
  /** Fills returned buffers with NaN, so that a test sees who reads memory after its end. */
  poison = process.env.TINYBARD_POISON === "1";
  readonly #free = new Map<string, Buffer[]>();
  readonly #memory: Memory;

  constructor(memory: Memory) {
    this.#memory = memory;
  }

  take(dtype: DType, length: number): Buffer {
    const waiting = this.#free.get(dtype + length)?.pop();
    const buffer = waiting ?? this.#allocate(dtype, length);
    if (waiting) this.freeBytes -= buffer.byteLength;
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
    if (this.freeBytes > this.peakBytes) this.trim(); // sizes that are no longer asked for
    const buffer = this.#memory.allocate(dtype, length) ?? this.#afterTrim(dtype, length);
    this.allocations++;
    return buffer;
  }

  #afterTrim(dtype: DType, length: number): Buffer {
    this.trim();
    const buffer = this.#memory.allocate(dtype, length);
    if (buffer) return buffer;
    const MB = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
    const wanted = MB(length * bytesOf[dtype]);
    throw new OutOfMemoryError(`out of memory: ${wanted} asked for, ${MB(this.liveBytes)} in use`);
  }

  /** Lets go of all buffers that wait. */
  trim(): void {
    for (const buffer of [...this.#free.values()].flat()) this.#memory.free(buffer);
    this.#free.clear();
    this.freeBytes = 0;
  }
}

const bytesOf = { f32: 4, f64: 8, i32: 4, bf16: 2 };
