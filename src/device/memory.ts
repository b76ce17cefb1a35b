// Memory on a device: storages, which have an end, and the pool that buffers come from and go back
// to.

import type { Device } from "../device.ts";
import type { DType, Floats } from "../kernels/contract.ts";
import { fail } from "../shape.ts";

/** Memory as kernels take it. */
export type Buffer = Floats | Int32Array;

/** The device has no memory left for what was asked. Nothing is lost: free something and go on. */
export class OutOfMemoryError extends Error {
  override name = "OutOfMemoryError";
}

const arrays = { f32: Float32Array, f64: Float64Array, i32: Int32Array };

/** A buffer, counted by the tensors that share it. */
export class Storage {
  readonly device: Device;
  readonly dtype: DType;
  readonly length: number;
  /** Counts changes in place, so that backward() notices an input that is no longer what it was. */
  version = 0;
  kept = false;
  readonly #pool: Pool;
  #owners = 1;
  #buffer: Buffer | null;
  #isOrphan = false;

  constructor(device: Device, dtype: DType, length: number) {
    this.device = device;
    this.dtype = dtype;
    this.length = length;
    this.#pool = device.pool;
    this.#buffer = this.#pool.take(dtype, length);
  }

  /** To be called when the content changes. */
  touch(): void {
    this.device.tape?.note(this);
    this.version++;
  }

  get buffer(): Buffer {
    return this.#buffer ?? fail("this memory has been given back");
  }

  share(): this {
    this.#owners++;
    return this;
  }

  /** One owner less; the last one gives the memory back. */
  release(): void {
    if (--this.#owners > 0 || !this.#buffer) return;
    this.#pool.give(this.dtype, this.#buffer);
    this.#buffer = null;
    if (this.#isOrphan) collector.unregister(this);
  }

  /** Gives the memory back now, whoever shares it: to read it is an error from here on. */
  end(): void {
    this.#owners = 1;
    this.release();
  }

  /** From now on the garbage collector gives the memory back, when nobody can reach it. */
  orphan(): void {
    if (this.#isOrphan || !this.#buffer) return;
    this.#isOrphan = true;
    const held = { pool: this.#pool, dtype: this.dtype, buffer: this.#buffer };
    collector.register(this, held, this);
  }
}

/**
 * Gives back the memory of storages that nobody can reach. It runs between tasks, never in a loop.
 */
const collector = new FinalizationRegistry<{ pool: Pool; dtype: DType; buffer: Buffer }>(
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
  readonly #alignment: ((buffer: ArrayBuffer) => number) | undefined;

  /** `alignment` tells where in a buffer a cache line begins, where vectors want to begin. */
  constructor(alignment?: (buffer: ArrayBuffer) => number) {
    this.#alignment = alignment;
  }

  take(dtype: DType, length: number): Buffer {
    if (dtype === "bf16") fail("dtype is bf16, which lives on cuda only; this device has f32");
    if (!Object.hasOwn(arrays, dtype)) fail(`dtype is ${dtype}, expected f32, f64, i32 or bf16`);
    const waiting = this.#free.get(dtype + length)?.pop();
    const buffer = waiting ?? this.#allocate(dtype, length);
    if (waiting) this.freeBytes -= buffer.byteLength;
    this.liveBytes += buffer.byteLength;
    this.peakBytes = Math.max(this.peakBytes, this.liveBytes);
    return buffer;
  }

  give(dtype: DType, buffer: Buffer): void {
    if (this.poison) buffer.fill(NaN);
    const key = dtype + buffer.length;
    const stack = this.#free.get(key);
    if (stack) stack.push(buffer);
    else this.#free.set(key, [buffer]);
    this.liveBytes -= buffer.byteLength;
    this.freeBytes += buffer.byteLength;
  }

  #allocate(dtype: keyof typeof arrays, length: number): Buffer {
    if (this.freeBytes > this.peakBytes) this.trim(); // sizes that are no longer asked for
    try {
      const bytes = length * arrays[dtype].BYTES_PER_ELEMENT;
      const memory = new ArrayBuffer(bytes + (this.#alignment ? 64 : 0));
      const buffer = new arrays[dtype](memory, this.#alignment?.(memory), length);
      this.allocations++;
      return buffer;
    } catch (cause) {
      const MB = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
      const wanted = MB(length * arrays[dtype].BYTES_PER_ELEMENT);
      const message = `out of memory: ${wanted} asked for, ${MB(this.liveBytes)} in use`;
      throw new OutOfMemoryError(message, { cause });
    }
  }

  /** Lets go of all buffers that wait. */
  trim(): void {
    this.#free.clear();
    this.freeBytes = 0;
  }
}
