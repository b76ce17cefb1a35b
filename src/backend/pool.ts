// The pool that recycles the buffers of a device. What a program frees returns to the pool at once;
// what it drops is left to the garbage collector, which the pool asks for help on a GPU.

import { platform } from "#platform";
import type { Allocator, Buffer } from "./buffers.ts";
import { type Finalizer, Finalizers } from "./finalizers.ts";
import type { DType } from "./kernels.ts";

/** The device has no memory left for a request. Nothing is lost: free something and retry. */
export class OutOfMemoryError extends Error {
  /** The name of the class. */
  override name = "OutOfMemoryError";
}

/**
 * How much device memory may be taken, beyond what was in use after the last collection, before
 * the next one. V8 has a similar limit, 64 MB, for memory that it knows of.
 */
const MIN_GROWTH = 128 * 2 ** 20;

/** The least that a small buffer costs: a page on the device, and its object on the host. */
const MIN_COST = 4096;

/** The pools of all devices. When one of them has no memory left, all free what they cache. */
const devicePools = new Set<Pool>();

/**
 * Caches freed buffers by dtype and length, so that a loop allocates only in its first iterations,
 * and the same sequence of sizes gets the same buffers. Counts bytes and allocations.
 */
export class Pool {
  /** The largest value that liveBytes has had. */
  peakBytes = 0;
  /** The bytes of cached buffers. */
  freeBytes = 0;
  /** The number of buffers that were allocated, rather than taken from the cache. */
  allocations = 0;
  /** Fills returned buffers with NaN, so that a test notices a use after free. */
  poison = platform.env.TINYBARD_POISON === "1";
  readonly #free = new Map<string, Buffer[]>();
  readonly #memory: Allocator;
  readonly #parent: Pool | null; // the pool of the device, if this is that of a captured step
  readonly #releaseGraphs: () => void;
  readonly #finalizers = new Finalizers((bytes, buffers) => this.#count(-bytes, -buffers));
  #liveBytes = 0;
  #liveBuffers = 0;
  #isClosed = false;
  #costAtCollection = 0; // of the buffers in use after the last collection

  /** `releaseGraphs` frees the memory of captured steps; it is called if nothing else helps. */
  constructor(memory: Allocator, releaseGraphs: () => void, parent: Pool | null = null) {
    this.#memory = memory;
    this.#parent = parent;
    this.#releaseGraphs = releaseGraphs;
    if (!parent) devicePools.add(this);
  }

  /**
   * The bytes of buffers in use. One that the program has dropped is counted until the garbage
   * collector has freed it and finalizers have run, which they do between tasks. On the host, the
   * buffers beyond the 32,768th that a task has dropped may be counted until 256 of them are
   * unreachable.
   */
  get liveBytes(): number {
    this.#sweep(true);
    return this.#liveBytes;
  }

  /** Returns a pool for a step that is captured, to be closed after the capture. */
  createStepPool(): Pool {
    return new Pool(this.#memory, this.#releaseGraphs, this);
  }

  /** Returns a buffer with undefined content; throws an OutOfMemoryError if there is none. */
  take(dtype: DType, length: number): Buffer {
    const buffer = this.#takeCached(dtype, length) ?? this.#allocate(dtype, length);
    this.#count(buffer.byteLength, 1);
    return buffer;
  }

  /** Returns a buffer that nothing uses anymore to the pool. */
  give(dtype: DType, buffer: Buffer): void {
    if (this.#isClosed) {
      this.#parent?.give(dtype, buffer);
      return;
    }
    if (this.poison) this.#memory.write(buffer, new Float64Array(buffer.length).fill(NaN));
    const key = dtype + buffer.length;
    const stack = this.#free.get(key);
    if (stack) stack.push(buffer);
    else this.#free.set(key, [buffer]);
    this.#count(-buffer.byteLength, -1);
    this.freeBytes += buffer.byteLength;
  }

  /**
   * Leaves a buffer to the garbage collector: its bytes are counted until nothing refers to the
   * result any longer. Null on a device with memory of its own, where sweep() finds the buffer.
   */
  watch(buffer: Buffer): Finalizer | null {
    return this.#memory.isHost ? this.#finalizers.add(buffer.byteLength) : null;
  }

  /** Undoes watch(). */
  unwatch(finalizer: Finalizer, buffer: Buffer): void {
    this.#finalizers.remove(finalizer, buffer.byteLength);
  }

  /** Takes back the device memory of buffers that the garbage collector has freed. */
  #sweep(isFinalizedOnly = false): void {
    for (const [dtype, buffer] of this.#memory.sweep(isFinalizedOnly)) {
      if (this.#parent) this.#parent.give(dtype, buffer);
      else this.give(dtype, buffer);
    }
  }

  /** Frees all cached buffers. */
  trim(): void {
    this.#sweep(true);
    for (const buffer of [...this.#free.values()].flat()) this.#memory.free(buffer);
    this.#free.clear();
    this.freeBytes = 0;
  }

  /** Empties the caches of all devices, after a garbage collection where that frees memory. */
  reclaim(): void {
    this.#memory.collectGarbage();
    this.#sweep();
    this.trim();
    for (const pool of devicePools) {
      pool.#sweep();
      pool.trim();
    }
  }

  /**
   * Ends the pool of a captured step: frees what is cached, unless the captured graph keeps it, and
   * lets the device's pool have what is still in use.
   */
  close(): void {
    this.trim();
    this.#isClosed = true;
    if (this.#parent) this.#parent.#count(this.#liveBytes, this.#liveBuffers);
  }

  #count(bytes: number, buffers: number): void {
    if (this.#isClosed && this.#parent) {
      this.#parent.#count(bytes, buffers);
      return;
    }
    this.#liveBytes += bytes;
    this.#liveBuffers += buffers;
    this.peakBytes = Math.max(this.peakBytes, this.#liveBytes);
  }

  #takeCached(dtype: DType, length: number): Buffer | undefined {
    const buffer = this.#free.get(dtype + length)?.pop();
    if (buffer) this.freeBytes -= buffer.byteLength;
    return buffer;
  }

  #allocate(dtype: DType, length: number): Buffer {
    if (this.freeBytes > this.peakBytes) this.trim(); // cached sizes are no longer in use
    const collected = this.#collectIfDue() ? this.#takeCached(dtype, length) : undefined;
    if (collected) return collected;
    const buffer = this.#memory.allocate(dtype, length) ?? this.#allocateLast(dtype, length);
    this.allocations++;
    return buffer;
  }

  /** Allocates after everything that can be freed has been. */
  #allocateLast(dtype: DType, length: number): Buffer {
    this.reclaim();
    const buffer = this.#memory.allocate(dtype, length);
    if (buffer) return buffer;
    this.#releaseGraphs();
    const lastBuffer = this.#memory.allocate(dtype, length);
    if (lastBuffer) return lastBuffer;
    const MB = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
    const requested = MB(length * bytesPerElement[dtype]);
    throw new OutOfMemoryError(
      `out of memory: ${requested} requested, ${MB(this.liveBytes)} in use`,
    );
  }

  /**
   * Collects garbage once the memory in use has doubled, and has grown by MIN_GROWTH, since the
   * last time, so that a loop which frees nothing has bounded memory. The garbage collector by
   * itself sees only the small objects that stand for buffers of the device.
   */
  #collectIfDue(): boolean {
    if (this.#memory.isHost || this.#parent) return false;
    const base = this.#costAtCollection;
    if (this.#cost <= base + Math.max(base, MIN_GROWTH)) return false;
    this.#memory.collectGarbage();
    this.#sweep();
    this.#costAtCollection = this.#cost;
    return true;
  }

  get #cost(): number {
    return this.#liveBytes + MIN_COST * this.#liveBuffers;
  }
}

const bytesPerElement = { f32: 4, f64: 8, i32: 4, bf16: 2 };
