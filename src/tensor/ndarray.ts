// Numbers in memory on a device, with a shape: what a tensor is before it learns to remember.

import {
  type Buffer,
  type Device,
  type DType,
  type Floats,
  restructured,
  type Storage,
} from "../device.ts";
import { adopt } from "../scope.ts";
import { expectShape, fail, type Shape, show } from "../shape.ts";

/** A dense, row-major array of numbers on a device. */
export class NDArray {
  readonly shape: Shape;
  storage: Storage;
  #fate = ""; // why it can no longer be read

  constructor(storage: Storage, shape: Shape) {
    this.storage = storage;
    this.shape = Object.isFrozen(shape) ? shape : Object.freeze([...shape]);
    adopt(this);
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

  /** What messages call it. */
  get label(): string {
    return `tensor ${show(this.shape)}`;
  }

  get isFreed(): boolean {
    return this.#fate !== "";
  }

  /** Throws if this was freed, and says why it was. */
  expectAlive(label = this.label): void {
    if (this.#fate) fail(`${label} was ${this.#fate}`);
  }

  /** The memory, as kernels take it. */
  get buffer(): Buffer {
    this.expectAlive();
    return this.storage.buffer;
  }

  get floats(): Floats {
    const { buffer } = this;
    if (buffer instanceof Int32Array) fail(`${this.label} has dtype i32, expected floats`);
    return buffer;
  }

  get ints(): Int32Array {
    const { buffer } = this;
    if (buffer instanceof Int32Array) return buffer;
    return fail(`${this.label} has dtype ${this.dtype}, expected i32`);
  }

  /** The elements, as a fresh typed array. */
  data(): Buffer {
    this.expectAlive();
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
    this.storage.touch();
    return this;
  }

  /** Takes over the values of x, of the same shape, in place. */
  assign(x: NDArray): this {
    expectTensor("assign", "x", x);
    expectShape("assign", "x", x.shape, this.shape);
    this.device.kernels.copy(x.buffer, this.buffer, this.size);
    this.storage.touch();
    return this;
  }

  /** Goes over to another memory, on any device. */
  moveTo(storage: Storage): void {
    storage.version = this.storage.version + 1; // a graph that was made with the old one is stale
    restructured();
    this.storage = storage;
  }

  /** Ends this array. Its memory goes back to the pool when no other one shares it. */
  free(reason: string): void {
    if (this.#fate || this.storage.kept) return;
    this.#fate = reason;
    this.storage.release();
  }
}

/** Throws unless x is a tensor, such as a program in plain JavaScript may fail to give. */
export function expectTensor(op: string, argument: string, x: unknown): void {
  const kind = x === null ? "null" : Array.isArray(x) ? "an array" : typeof x;
  if (!(x instanceof NDArray)) fail(`${op}: ${argument} is ${kind}, expected a tensor`);
}

/**
 * Throws unless `other` may meet x in an op: a tensor of its device, its dtype, and the shape if
 * one is given.
 */
export function expectPeer(
  op: string,
  argument: string,
  other: NDArray,
  x: NDArray,
  shape?: Shape,
): void {
  expectTensor(op, argument, other);
  if (other.device !== x.device)
    fail(`${op}: ${argument} is on ${other.device}, expected ${x.device}`);
  if (other.dtype !== x.dtype)
    fail(`${op}: ${argument} has dtype ${other.dtype}, expected ${x.dtype}`);
  if (shape) expectShape(op, argument, other.shape, shape);
}
