// The tensor: an n-dimensional array with a gradient and the op that computed it, if any.

import type { DType } from "../backend/device.ts";
import { keep } from "../scope.ts";
import { numel, type Shape } from "../shape.ts";
import { checkSameKind, NDArray } from "./ndarray.ts";

/**
 * The derivative of an op: takes d loss / d result, returns d loss / d input for each input; null
 * or false where there is none, or where the input requires none. An op with two results takes two
 * gradients; one is undefined if the loss does not depend on that result.
 */
export type Backward = (...dy: Tensor[]) => readonly (Tensor | null | false)[];

/** An op in the graph: the edges from its results to its inputs. */
export interface Node {
  readonly name: string;
  readonly results: readonly Tensor[]; // oldest first
  readonly inputs: readonly Tensor[];
  readonly versions: readonly number[]; // of the inputs and results when the op was recorded
  readonly backward: Backward | null; // null once backward() has passed: a graph is used once
  readonly saved: readonly Tensor[]; // what only `backward` needs
}

let created = 0;

/**
 * Leaves whose .grad buffer the current op's derivative writes directly instead of a temporary one:
 * gradBuffer() lends the buffer, addGrad() recognizes it and skips the copy.
 */
const borrowedGrads = new Set<Tensor>();

/**
 * A dense array of numbers with a gradient.
 * @example
 * const x = tensor([1, 2, 3], { requiresGrad: true });
 * x.mul(x).sum().backward();
 * console.log(x.grad?.toArray()); // [ 2, 4, 6 ]
 */
export class Tensor extends NDArray {
  /**
   * Inputs are made before results, so these numbers are a topological order of the graph.
   * @internal
   */
  readonly id = created++;
  /** True if backward() computes d loss / d this; set it on leaves only. */
  requiresGrad = false;
  /** @internal */
  retainsGrad = false;
  /** The op that computed this; null for a leaf: a parameter, an input or a constant. @internal */
  node: Node | null = null;
  #grad: Tensor | null = null; // allocated once: captured steps write to it by its address
  /** @internal */
  hasGrad = false;

  /**
   * Adds d this / d x to the .grad of every leaf x that this was computed from. `dy` is the
   * gradient of this itself; it may be left out if this has one element, and is then 1. Frees the
   * graph and every result in it, except for this one and those that keep() was called on.
   */
  declare backward: (dy?: Tensor) => void; // autograd.ts defines it

  /** d loss / d this: the sum over all backward() calls since it was last set to null. */
  get grad(): Tensor | null {
    return this.hasGrad ? this.#grad : null;
  }

  set grad(dx: Tensor | null) {
    this.device.captureLog?.note(this);
    this.hasGrad = false;
    if (dx) this.addGrad(dx);
  }

  /** Copies dx into .grad, or adds it to the gradient that is already there. @internal */
  addGrad(dx: Tensor): void {
    checkSameKind("grad", "dx", dx, this, this.shape, [this.dtype, this.accumulateDType]);
    const grad = this.#ensureGrad();
    const { kernels, captureLog } = this.device;
    captureLog?.note(this);
    if (dx === grad) {
      borrowedGrads.delete(this); // the op has written it
    } else if (this.hasGrad || borrowedGrads.has(this)) {
      kernels.accumulate(toDType(dx, grad.dtype).floats, grad.floats, this.size);
    } else {
      kernels.copy(dx.floats, grad.floats, this.size);
    }
    grad.storage.bumpVersion();
    this.hasGrad = true;
  }

  /**
   * Returns a tensor that an op's derivative may write the gradient of this to: the buffer of .grad
   * itself if it holds nothing yet, which saves a copy, otherwise a new one. Null if this requires
   * no gradient.
   * @internal
   */
  gradBuffer(): Tensor | null {
    if (!this.requiresGrad) return null;
    const isUnused = !this.node && !this.hasGrad && !borrowedGrads.has(this);
    if (!isUnused) return empty(this, this.shape, this.accumulateDType);
    borrowedGrads.add(this);
    return this.#ensureGrad();
  }

  #ensureGrad(): Tensor {
    const grad = this.#grad;
    if (grad?.device === this.device && grad.dtype === this.accumulateDType) return grad;
    this.#grad = keep(empty(this, this.shape, this.accumulateDType));
    return this.#grad;
  }

  /** Makes backward() keep the gradient of this non-leaf in .grad. */
  retainGrad(): this {
    this.retainsGrad = true;
    return this;
  }

  protected override describeGradient(): string[] {
    if (this.node) return [`gradFn=${this.node.name}`];
    return this.requiresGrad ? ["requiresGrad=true"] : [];
  }

  /** Returns a tensor without a graph on the same memory, with another shape if one is passed. */
  detach(shape: Shape = this.shape): Tensor {
    this.checkNotFreed();
    return new Tensor(this.storage.retain(), shape);
  }
}

/** Forgets which .grad buffers were borrowed from gradBuffer(). */
export function clearBorrowedGrads(): void {
  borrowedGrads.clear();
}

/** Returns x itself, or its elements in another dtype. */
export function toDType(x: Tensor, dtype: DType): Tensor {
  return x.dtype === dtype ? x : empty(x, x.shape, dtype).assign(x);
}

/** A tensor with undefined content, with x's device, shape and dtype unless others are passed. */
export function empty(x: Tensor, shape: Shape = x.shape, dtype: DType = x.dtype): Tensor {
  return new Tensor(x.device.empty(dtype, numel(shape)), shape);
}
