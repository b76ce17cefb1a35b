// Numbers in memory on a device, with a shape: what a tensor is before it learns to remember.

import { invalidateCaptures } from "../backend/capture.ts";
import type { Buffer, Device, DType, Floats, Storage } from "../backend/device.ts";
import { fail } from "../errors.ts";
import { track } from "../scope.ts";
import { checkShape, type Shape, show } from "../shape.ts";

/** A dense, row-major array of numbers on a device. */
export class NDArray {
  readonly shape: Shape;
  /** @internal */
  storage: Storage;
  /** @internal */
  origin = "tensor"; // the op that made it
  #freedBecause = ""; // why it can no longer be read

  /** @internal */
  constructor(storage: Storage, shape: Shape) {
    this.storage = storage;
    this.shape = Object.isFrozen(shape) ? shape : Object.freeze([...shape]);
    track(this);
  }

  get device(): Device {
    return this.storage.device;
  }

  get dtype(): DType {
    return this.storage.dtype;
  }

  get size(): number {
    return this.storage.length;
  }

  /** What messages call it. @internal */
  get label(): string {
    return `${this.origin} ${show(this.shape)}`;
  }

  get isFreed(): boolean {
    return this.#freedBecause !== "";
  }

  /** Throws if this was freed, and says why it was. @internal */
  checkNotFreed(label = this.label): void {
    if (this.#freedBecause) fail(`${label} was ${this.#freedBecause}`);
  }

  /** The memory, as kernels take it. @internal */
  get buffer(): Buffer {
    this.checkNotFreed();
    return this.storage.buffer;
  }

  /** @internal */
  get floats(): Floats {
    if (this.dtype === "i32") fail(`${this.label} has dtype i32, expected floats`);
    return this.buffer as Floats;
  }

  /** @internal */
  get ints(): Int32Array {
    if (this.dtype !== "i32") fail(`${this.label} has dtype ${this.dtype}, expected i32`);
    return this.buffer as Int32Array;
  }

  /**
   * The numbers in the dtype of x, as kernels take it: in bf16 those of an f32 array too.
   * @internal
   */
  floatsAs(dtype: DType): Floats {
    if (this.dtype === dtype) return this.floats;
    this.checkNotFreed();
    return this.storage.bf16Copy as Floats;
  }

  /** The dtype of what must not be rounded: sums, statistics, gradients of weights. @internal */
  get accumulateDType(): DType {
    return this.dtype === "bf16" ? "f32" : this.dtype;
  }

  /** The elements, as a fresh typed array. */
  data(): Buffer {
    this.checkNotFreed();
    return this.device.download(this.storage);
  }

  /** The one element, as a number. */
  item(): number {
    if (this.size !== 1) fail(`item: x has shape ${show(this.shape)}, expected one element`);
    return this.data()[0];
  }

  /** Sets all elements, in place. */
  fill(value: number): this {
    if (typeof value !== "number") fail(`fill: value is ${typeof value}, expected a number`);
    this.device.kernels.fill(this.buffer, value, this.size);
    this.storage.bumpVersion();
    return this;
  }

  /** Takes over the values of x, of the same shape, in place. */
  assign(x: NDArray): this {
    checkTensor("assign", "x", x);
    checkShape("assign", "x", x.shape, this.shape);
    const [from, to] = [x.buffer, this.buffer];
    if (from === to) return this; // its own values, as a state dict holds them; kernels refuse it
    this.device.kernels.copy(from, to, this.size);
    this.storage.bumpVersion();
    return this;
  }

  /** Goes over to another memory, on any device. @internal */
  moveTo(storage: Storage): void {
    storage.version = this.storage.version + 1; // a graph that was made with the old one is stale
    invalidateCaptures();
    this.storage = storage;
  }

  /** Ends this array. Its memory goes back to the pool when no other one shares it. @internal */
  free(reason: string): void {
    if (this.#freedBecause || this.storage.persistent) return;
    this.#freedBecause = reason;
    this.storage.release();
  }
}

/** Throws unless x is a tensor, such as a program in plain JavaScript may fail to give. */
export function checkTensor(op: string, argument: string, x: unknown): void {
  const kind = x === null ? "null" : Array.isArray(x) ? "an array" : typeof x;
  if (!(x instanceof NDArray)) fail(`${op}: ${argument} is ${kind}, expected a tensor`);
}

/**
 * Throws unless `other` may meet x in an op: a tensor of its device, its dtype, and the shape if
 * one is given. A weight may be f32 beside an x in bf16: `dtypes` are x.dtype and x.accumulateDType
 * then.
 */
export function checkSameKind(
  op: string,
  argument: string,
  other: NDArray,
  x: NDArray,
  shape?: Shape,
  dtypes = [x.dtype],
): void {
  checkTensor(op, argument, other);
  if (other.device !== x.device)
    fail(`${op}: ${argument} is on ${other.device}, expected ${x.device}`);
  if (!dtypes.includes(other.dtype))
    fail(`${op}: ${argument} has dtype ${other.dtype}, expected ${dtypes[0]}`);
  if (shape) checkShape(op, argument, other.shape, shape);
}

/** checkSameKind() for a weight w of an op on x. */
export function checkWeight(op: string, name: string, w: NDArray, x: NDArray, shape?: Shape): void {
  checkSameKind(op, name, w, x, shape, [x.dtype, x.accumulateDType]);
}
