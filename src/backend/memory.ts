// The memory of a tensor: a buffer with a lifetime, which tensors share.

import { fail } from "../errors.ts";
import type { Buffer } from "./buffers.ts";
import type { Finalizer } from "./finalizers.ts";
import type { DType, Floats, Kernels } from "./kernels.ts";
import type { Pool } from "./pool.ts";

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
  readonly pool: Pool;
  #refCount = 1;
  #buffer: Buffer | null;
  #bf16Copy: Storage<D> | null = null;
  #finalizer: Finalizer | null = null;

  constructor(device: D, dtype: DType, length: number) {
    this.device = device;
    this.dtype = dtype;
    this.length = length;
    this.pool = device.pool;
    this.#buffer = this.pool.take(dtype, length);
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
    if (this.#bf16Copy) return this.#bf16Copy.buffer;
    const copy = new Storage<D>(this.device, "bf16", this.length);
    copy.registerFinalizer();
    this.#copyTo(copy);
    this.#bf16Copy = copy; // not before it has its content: the lines above may throw
    return copy.buffer;
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
    if (this.#finalizer) this.pool.unwatch(this.#finalizer, this.#buffer);
    this.pool.give(this.dtype, this.#buffer);
    this.#buffer = null;
  }

  /** Returns the buffer to the pool although tensors may share it: reading them throws. */
  dispose(): void {
    this.#refCount = 1;
    this.release();
  }

  /** Leaves the buffer to the garbage collector, which frees it once it is unreachable. */
  registerFinalizer(): void {
    if (this.#buffer) this.#finalizer ??= this.pool.watch(this.#buffer);
  }
}
