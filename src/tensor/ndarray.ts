// An n-dimensional array on a device: a tensor without gradient and graph.

import { invalidateCaptures } from "../backend/capture.ts";
import type { Buffer, Device, DType, Floats, Storage } from "../backend/device.ts";
import { describe, fail } from "../errors.ts";
import { inspectSymbol } from "../printing.ts";
import { track } from "../scope.ts";
import { checkShape, formatShape, type Shape } from "../shape.ts";
import { type ArrayOfRank, type NestedNumbers, nest } from "./nested.ts";
import { formatTensor } from "./print.ts";

/** A dense, row-major array of numbers on a device. */
export class NDArray {
  readonly shape: Shape;
  /** @internal */
  storage: Storage;
  /** @internal */
  origin = "tensor"; // the op that made it
  #freeReason = ""; // not empty once it was freed

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

  /** The name in messages. @internal */
  get label(): string {
    return `${this.origin} ${formatShape(this.shape)}`;
  }

  get isFreed(): boolean {
    return this.#freeReason !== "";
  }

  /** Throws, with the reason, if this was freed. @internal */
  checkNotFreed(label = this.label): void {
    if (this.#freeReason) fail(`${label} was ${this.#freeReason}`);
  }

  /** The buffer, as kernels take it. @internal */
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
   * The buffer in a dtype: its own, or bf16, of which an f32 array keeps a copy.
   * @internal
   */
  floatsAs(dtype: DType): Floats {
    if (this.dtype === dtype) return this.floats;
    this.checkNotFreed();
    return this.storage.bf16Copy as Floats;
  }

  /** The dtype of sums, statistics and gradients of weights: not rounded to bf16. @internal */
  get accumulateDType(): DType {
    return this.dtype === "bf16" ? "f32" : this.dtype;
  }

  /** Returns the elements in a new typed array. */
  data(): Buffer {
    this.checkNotFreed();
    return this.device.download(this.storage);
  }

  /**
   * Returns the values as nested arrays: a number for a scalar, otherwise one level of arrays an
   * axis. The number of axes as an argument is checked, and makes the type exact: x.toArray(2) is
   * number[][].
   * @example
   * const rows = tensor([[1, 2], [3, 4]]).toArray(2);
   * console.log(rows[1][0]); // 3
   */
  toArray(): NestedNumbers;
  toArray<R extends keyof ArrayOfRank>(rank: R): ArrayOfRank[R];
  toArray(rank?: number): NestedNumbers {
    if (rank !== undefined && rank !== this.shape.length)
      fail(`toArray: x has shape ${formatShape(this.shape)}, expected ${describe(rank)} axes`);
    return nest(this.data(), this.shape);
  }

  /**
   * Returns toArray(), which JSON.stringify() then writes: nested arrays, in which JSON has null
   * for NaN and infinities.
   */
  toJSON(): NestedNumbers {
    return this.toArray();
  }

  /**
   * Returns the text that console.log() prints: the values in PyTorch's layout, then the shape, and
   * the dtype and device unless they are f32 and the default device. Never throws.
   */
  toString(): string {
    return formatTensor(this, this.describeGradient());
  }

  /** Returns the part of toString() about the gradient. @internal */
  protected describeGradient(): string[] {
    return [];
  }

  /** @internal */
  [inspectSymbol](): string {
    return this.toString();
  }

  /**
   * Converts to text for `${x}`, and to a number for Number(x), x < 1 and arithmetic of JavaScript,
   * which needs one element; x + y of tensors is add(x, y).
   */
  [Symbol.toPrimitive](hint: "number" | "string" | "default"): string | number {
    if (hint === "string") return this.toString();
    if (this.size !== 1)
      fail(
        `Number: x has shape ${formatShape(this.shape)}, expected one element; ` +
          "operators of JavaScript do not compute with tensors: use add(x, y), mul(x, y), lt(x, y)",
      );
    return this.item();
  }

  /** Returns the only element as a number. */
  item(): number {
    if (this.size !== 1) fail(`item: x has shape ${formatShape(this.shape)}, expected one element`);
    return this.data()[0];
  }

  /** Sets all elements, in place. */
  fill(value: number): this {
    if (typeof value !== "number") fail(`fill: value is ${typeof value}, expected a number`);
    this.device.kernels.fill(this.buffer, value, this.size);
    this.storage.bumpVersion();
    return this;
  }

  /** Copies the values of x, which has the same shape, into this. */
  assign(x: NDArray): this {
    checkTensor("assign", "x", x);
    checkShape("assign", "x", x.shape, this.shape);
    const source = x.buffer;
    const target = this.buffer;
    if (source === target) return this; // as in a state dict of its own; kernels reject overlap
    this.device.kernels.copy(source, target, this.size);
    this.storage.bumpVersion();
    return this;
  }

  /** Replaces the storage by another, on any device. @internal */
  moveTo(storage: Storage): void {
    storage.version = this.storage.version + 1; // invalidates graphs with the old one
    invalidateCaptures();
    this.storage = storage;
  }

  /** Frees this array; its memory returns to the pool unless others share it. @internal */
  free(reason: string): void {
    if (this.#freeReason || this.storage.persistent) return;
    this.#freeReason = reason;
    this.storage.release();
  }
}

/** Throws unless x is a tensor: a caller in plain JavaScript may pass anything. */
export function checkTensor(op: string, argument: string, x: unknown): void {
  if (x instanceof NDArray) return;
  const isNested = typeof x === "number" || Array.isArray(x) || ArrayBuffer.isView(x);
  const hint = isNested ? `; make one by tensor(${argument})` : "";
  const kind = Array.isArray(x) ? "an array" : describe(x);
  fail(`${op}: ${argument} is ${kind}, expected a tensor${hint}`);
}

/** Throws unless x is a tensor of floats. */
export function checkFloats(op: string, argument: string, x: NDArray): void {
  checkTensor(op, argument, x);
  if (x.dtype === "i32")
    fail(`${op}: ${argument} has dtype i32, expected floats; convert it by .to("f32")`);
}

/** Throws unless x is a tensor of i32: indices, targets and masks are. */
export function checkIntegers(op: string, argument: string, x: NDArray): void {
  checkTensor(op, argument, x);
  if (x.dtype !== "i32")
    fail(
      `${op}: ${argument} has dtype ${x.dtype}, expected i32; ` +
        `make it by tensor(..., { dtype: "i32" }), or convert it by .to("i32")`,
    );
}

/**
 * Throws unless `other` is a tensor on the device of x with one of `dtypes`, by default that of x,
 * and with `shape`, if it is passed.
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
    fail(
      `${op}: ${argument} is on ${other.device}, expected ${x.device}; ` +
        `move it by .to("${x.device}")`,
    );
  if (!dtypes.includes(other.dtype))
    fail(
      `${op}: ${argument} has dtype ${other.dtype}, expected ${dtypes[0]}; ` +
        `convert it by .to("${dtypes[0]}")`,
    );
  if (shape) checkShape(op, argument, other.shape, shape);
}

/** checkSameKind() for a weight of an op on x, which may be f32 although x is bf16. */
export function checkWeight(op: string, name: string, w: NDArray, x: NDArray, shape?: Shape): void {
  checkSameKind(op, name, w, x, shape, [x.dtype, x.accumulateDType]);
}
