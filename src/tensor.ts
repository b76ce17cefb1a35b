// A tensor is an array that remembers how it was made, and backward() walks that memory with the
// chain rule. This page is all there is to automatic differentiation here. The ops, each with its
// derivative beside it, are in ops/; they come to this page by one door, record().

import type { DType, Storage } from "./device.ts";
import { keep, scope } from "./scope.ts";
import { expectShape, fail, type Shape, show, sizeOf } from "./shape.ts";
import { NDArray } from "./tensor/ndarray.ts";

/**
 * Takes dy = d loss / d result; gives d loss / d input for each input, or false if none is wanted.
 */
export type Backward = (dy: Tensor) => readonly (Tensor | false)[];

/** How a tensor was made: the edges of the graph from a result to its inputs. */
export interface Node {
  readonly name: string;
  readonly inputs: readonly Tensor[];
  readonly versions: readonly number[]; // of the inputs' memory: have they been changed since?
  readonly backward: Backward | null; // null once backward() has passed: a graph serves once
  readonly saved: readonly Tensor[]; // what backward needs beside inputs and result
}

const FREED = "freed by backward(); read it before, or keep() it";
let created = 0;
let recording = true;

/** An array of numbers that gradients can flow through. */
export class Tensor extends NDArray {
  /** Counts creations. Inputs are older than results: ids are a topological order of the graph. */
  readonly id = created++;
  requiresGrad = false;
  retainsGrad = false;
  node: Node | null = null; // null: a leaf, made by no op (a parameter, an input, a constant)
  #grad: Tensor | null = null; // its memory is allocated once, and stays at one address for life
  #hasGrad = false;

  /** Walks the graph back from here, and adds d this / d x to the .grad of every leaf x. */
  backward(dy?: Tensor): void {
    if (!this.requiresGrad) fail("backward: nothing x was made from requires a gradient");
    if (!dy && this.size !== 1)
      fail(`backward: x has shape ${show(this.shape)}, expected one element`);
    if (dy) expectShape("backward", "dy", dy.shape, this.shape);
    const path = history(this); // throws before anything has changed
    const waiting = new Map<Tensor, Tensor>();
    noGrad(() => {
      const one = empty(this).fill(1);
      deposit(this, dy ?? one, waiting);
      one.free(FREED);
      for (const y of path) passBack(y, y === this, waiting);
    });
  }

  /** d loss / d this, the sum over all backward() calls since it was last set to null. */
  get grad(): Tensor | null {
    return this.#hasGrad ? this.#grad : null;
  }

  set grad(dx: Tensor | null) {
    this.#hasGrad = false;
    if (dx) this.addGrad(dx);
  }

  /** Copies dx into .grad, or adds it to what is there. */
  addGrad(dx: Tensor): void {
    this.#grad ??= keep(empty(this));
    const { copy, accumulate } = this.device.kernels;
    if (this.#hasGrad) accumulate(dx.floats, this.#grad.floats, this.size);
    else copy(dx.floats, this.#grad.floats, this.size);
    this.#hasGrad = true;
  }

  /** Asks for the .grad of a tensor that is not a leaf. */
  retainGrad(): this {
    this.retainsGrad = true;
    return this;
  }

  /** The same memory under the same shape, or another of its size, cut off from the graph. */
  detach(shape: Shape = this.shape): Tensor {
    void this.buffer; // throws if freed
    return new Tensor(this.storage.share(), shape);
  }

  /** Goes over to another memory, on any device; the gradient stays behind. */
  moveTo(storage: Storage): void {
    this.storage = storage;
    this.#grad = null;
    this.#hasGrad = false;
  }

  override get label(): string {
    return `${this.node?.name ?? "tensor"} ${show(this.shape)}`;
  }
}

/**
 * The only way to make a differentiable tensor: a result, the inputs it was computed from, and how
 * a gradient flows back from the one to the others. `saved` lists tensors that only `backward`
 * needs.
 */
export function record(
  name: string,
  result: Tensor,
  inputs: readonly Tensor[],
  backward: Backward,
  saved: readonly Tensor[] = [],
): Tensor {
  if (recording && inputs.some((x) => x.requiresGrad)) {
    const versions = inputs.map((x) => x.storage.version);
    result.requiresGrad = true;
    result.node = { name, inputs, versions, backward, saved };
  } else {
    for (const x of saved) x.free("not saved: nothing required a gradient");
  }
  return result;
}

/** All tensors with a node that `root` was made from, newest first, itself included. */
function history(root: Tensor): Tensor[] {
  const reached = new Set([root]);
  for (const { node } of reached) {
    // the set grows while it is walked: no recursion, however long the chain
    if (node) expectFresh(node);
    for (const x of node?.inputs ?? []) if (x.requiresGrad) reached.add(x);
  }
  return [...reached].filter((y) => y.node).sort((a, b) => b.id - a.id);
}

/** Throws if a node has served already, or if an input is no longer what the op was given. */
function expectFresh({ name, inputs, versions, backward }: Node): void {
  if (!backward) fail(`backward: the graph of ${name} was freed by an earlier backward()`);
  const changed = inputs.findIndex((x, i) => x.storage.version !== versions[i]);
  if (changed >= 0) fail(`backward: input ${changed} of ${name} was changed in place since then`);
}

/**
 * Sends the gradient of y through the op that made y, back to its inputs, and frees what nobody
 * needs any more. The gradient is complete: all that was made from y is newer than y, and had its
 * turn. (In b = a + a; c = b + b a walk by recursion would pass b's gradient on before its second
 * half came.)
 */
function passBack(y: Tensor, isRoot: boolean, waiting: Map<Tensor, Tensor>): void {
  const { name, inputs, backward, saved } = y.node as Node;
  const dy = waiting.get(y);
  if (dy && backward) {
    if (y.retainsGrad) y.addGrad(dy);
    const firstOwn = created;
    const grads = scope(() => backward(dy));
    for (const [i, x] of inputs.entries()) {
      const dx = grads[i];
      if (!dx || !x.requiresGrad) continue;
      expectShape("backward", `gradient of input ${i} of ${name}`, dx.shape, x.shape);
      deposit(x, dx, waiting);
    }
    // older ones are somebody's
    for (const dx of grads) if (dx && dx.id >= firstOwn) dx.free(FREED);
    dy.free(FREED);
  }
  for (const x of isRoot ? saved : [...saved, y]) x.free(FREED);
  y.node = { name, inputs: [], versions: [], backward: null, saved: [] };
}

/** Adds dx to the gradient of x: into .grad for a leaf, else to the sum that waits for x's turn. */
function deposit(x: Tensor, dx: Tensor, waiting: Map<Tensor, Tensor>): void {
  const sum = waiting.get(x);
  if (!x.node) x.addGrad(dx);
  else if (!sum) waiting.set(x, dx.detach());
  else {
    const total = empty(x); // not in place: the sum's memory may be that of another gradient
    x.device.kernels.add(sum.floats, dx.floats, total.floats, x.size, x.size, x.size);
    sum.free(FREED);
    waiting.set(x, total);
  }
}

/** Runs `fn` without recording: what it makes has no graph and asks for no gradient. */
export function noGrad<T>(fn: () => T): T {
  const before = recording;
  recording = false;
  try {
    return fn();
  } finally {
    recording = before;
  }
}

/** A tensor with undefined content, of x's device, shape and dtype unless others are given. */
export function empty(x: Tensor, shape: Shape = x.shape, dtype: DType = x.dtype): Tensor {
  return new Tensor(x.device.empty(dtype, sizeOf(shape)), shape);
}
