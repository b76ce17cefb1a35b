// A tensor is an array that remembers how it was made, and backward() walks that memory with the
// chain rule. This page is all there is to the chain rule. The ops, each with its derivative beside
// it, are in ops/; all of them end in record(), the door to this page.

import type { DType } from "../backend/device.ts";
import { fail } from "../errors.ts";
import { keep, scope } from "../scope.ts"; // scope(fn) ends what fn made; nothing ends a kept one
import { checkShape, type Shape, show, sizeOf } from "../shape.ts";
import { checkSameKind, NDArray } from "./ndarray.ts"; // memory with a shape
import { type Backward, freshEnds, type Node } from "./node.ts"; // how a tensor was made

export type { Backward } from "./node.ts";

const FREED = "freed by backward(); read it before, or keep() it";
let created = 0;
let recording = true;
const lent = new Set<Tensor>(); // whose .grad the op whose turn it is has been given to write to

/** An array of numbers with a gradient and a place in the graph. */
export class Tensor extends NDArray {
  /** Inputs are made before results: these numbers put the graph into topological order. */
  readonly id = created++;
  requiresGrad = false;
  retainsGrad = false;
  node: Node | null = null; // null: a leaf, made by no op (a parameter, an input, a constant)
  #grad: Tensor | null = null; // allocated once: captured steps write to it by its address
  hasGrad = false;

  /**
   * Adds d this / d x to the .grad of every leaf x that this was made from, by walking the graph
   * back from here. dy is the gradient of this itself, 1 if not given. The walk frees the graph and
   * every result in it, except this one and those that were kept.
   */
  backward(dy?: Tensor): void {
    if (!this.requiresGrad) fail("backward: nothing that x was made from requires a gradient");
    if (!dy && this.size !== 1)
      fail(`backward: x has shape ${show(this.shape)}, expected one element`);
    if (dy) checkSameKind("backward", "dy", dy, this, this.shape);
    const path = history(this); // throws before anything has changed
    const waiting = new Map<Tensor, Tensor>();
    noGrad(() => {
      const one = empty(this).fill(1);
      deposit(this, dy ?? one, waiting);
      one.free(FREED);
      for (const y of path) passBack(y.node as Node, this, waiting);
    });
  }

  /** d loss / d this, the sum over all backward() calls since it was last set to null. */
  get grad(): Tensor | null {
    return this.hasGrad ? this.#grad : null;
  }

  set grad(dx: Tensor | null) {
    this.device.captureLog?.note(this);
    this.hasGrad = false;
    if (dx) this.addGrad(dx);
  }

  /** Copies dx into .grad, or adds it to what is there. */
  addGrad(dx: Tensor): void {
    checkSameKind("grad", "dx", dx, this, this.shape, [this.dtype, this.accumulateDType]);
    const grad = this.#ensureGrad();
    const { kernels, captureLog } = this.device;
    captureLog?.note(this);
    if (dx === grad)
      lent.delete(this); // the op has written it
    else if (this.hasGrad || lent.has(this))
      kernels.accumulate(converted(dx, grad.dtype).floats, grad.floats, this.size);
    else kernels.copy(dx.floats, grad.floats, this.size);
    grad.storage.bumpVersion();
    this.hasGrad = true;
  }

  /** Room for a gradient of this that an op computes: its .grad itself, if nothing is there yet. */
  gradBuffer(): Tensor {
    const isFree = this.requiresGrad && !this.node && !this.hasGrad && !lent.has(this);
    if (!isFree) return empty(this, this.shape, this.accumulateDType);
    lent.add(this);
    return this.#ensureGrad();
  }

  #ensureGrad(): Tensor {
    const isFit = this.#grad?.device === this.device && this.#grad.dtype === this.accumulateDType;
    if (!isFit) this.#grad = keep(empty(this, this.shape, this.accumulateDType));
    return this.#grad as Tensor;
  }

  /** Asks for the .grad of a tensor that is not a leaf. */
  retainGrad(): this {
    this.retainsGrad = true;
    return this;
  }

  /** The same memory under the same shape, or another of its size, cut off from the graph. */
  detach(shape: Shape = this.shape): Tensor {
    this.checkNotFreed();
    return new Tensor(this.storage.retain(), shape);
  }
}

/**
 * Makes a result differentiable, as nothing else does: `inputs` are what it was computed from,
 * `backward` is how a gradient flows back to them, `saved` lists what only that needs. Several
 * results: the oldest first.
 */
export function record<R extends Tensor | readonly Tensor[]>(
  name: string,
  result: R,
  inputs: readonly Tensor[],
  backward: Backward,
  saved: readonly Tensor[] = [],
): R {
  const results: readonly Tensor[] = result instanceof Tensor ? [result] : result;
  if (recording && inputs.some((x) => x.requiresGrad)) {
    const versions = [...inputs, ...results].map((x) => x.storage.version);
    const node = { name, results, inputs, versions, backward, saved };
    for (const y of results) Object.assign(y, { requiresGrad: true, node, origin: name });
  } else {
    for (const x of saved) x.free("not saved: nothing required a gradient");
  }
  return result;
}

/** All results that `root` was made from, newest first, itself included; all checked. */
function history(root: Tensor): Tensor[] {
  const reached = new Set([root]);
  // the set grows while it is walked: no recursion, however long the chain
  for (const { node } of reached)
    for (const x of node ? freshEnds(node) : []) if (x.requiresGrad) reached.add(x);
  return [...reached].filter((y) => y.node?.results[0] === y).sort((a, b) => b.id - a.id);
}

/**
 * Sends the gradient of a result through its op, back to the inputs, and frees what nobody needs
 * any more. The gradient is complete: all that was made from it is newer, and had its turn. (In
 * b = a + a; c = b + b recursion would pass b's gradient on before its second half came.)
 */
function passBack(node: Node, root: Tensor, waiting: Map<Tensor, Tensor>): void {
  const { name, results, inputs, backward, saved } = node;
  const dys = results.map((y) => waiting.get(y));
  if (backward && dys.some((dy) => dy)) {
    for (const [i, y] of results.entries()) if (y.retainsGrad && dys[i]) y.addGrad(dys[i]);
    lent.clear();
    scope(() => {
      const grads = backward(...(dys as Tensor[]));
      for (const [i, x] of inputs.entries()) {
        const dx = grads[i];
        if (!dx || !x.requiresGrad) continue;
        checkShape("backward", `gradient of input ${i} of ${name}`, dx.shape, x.shape);
        deposit(x, dx, waiting);
      }
      return inputs.map((x) => waiting.get(x)); // all else that was made in here ends
    });
    for (const dy of dys) dy?.free(FREED);
  }
  for (const x of [...saved, ...results]) if (x !== root) x.free(FREED); // that is the caller's
  for (const y of results)
    y.node = { ...node, inputs: [], versions: [], backward: null, saved: [] };
}

/** Adds dx to the gradient of x: into .grad for a leaf, else to the sum that waits for x's turn. */
function deposit(x: Tensor, dx: Tensor, waiting: Map<Tensor, Tensor>): void {
  const [sum, given] = [waiting.get(x), x.node ? converted(dx, x.dtype) : dx];
  if (!x.node) x.addGrad(dx);
  else if (!sum)
    waiting.set(x, given.detach()); // a tensor of our own on the same memory
  else {
    const total = empty(x); // not in place: the sum's memory may be that of another gradient
    x.device.kernels.add(sum.floats, given.floats, total.floats, x.size, x.size, x.size);
    sum.free(FREED);
    waiting.set(x, total);
  }
}

/** x itself, or its numbers in another dtype. */
export function converted(x: Tensor, dtype: DType): Tensor {
  return x.dtype === dtype ? x : empty(x, x.shape, dtype).assign(x);
}

/** Runs a synchronous `fn` without recording: what it makes has no graph. */
export function noGrad<T>(fn: () => T): T {
  const before = recording;
  recording = false;
  try {
    const result = fn();
    return result instanceof Promise ? fail("noGrad: fn returned a promise") : result;
  } finally {
    recording = before;
  }
}

/** A tensor with undefined content, of x's device, shape and dtype unless others are given. */
export function empty(x: Tensor, shape: Shape = x.shape, dtype: DType = x.dtype): Tensor {
  return new Tensor(x.device.empty(dtype, sizeOf(shape)), shape);
}
