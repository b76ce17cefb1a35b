// The base class of optimizers: groups of parameters, their state, and the learning rate as a
// tensor, so that a captured step can be replayed with another rate.

import type { Floats, Kernels } from "../backend/device.ts";
import { checkNumber, checkOptions, defined, fail } from "../errors.ts";
import { checkDict } from "../nn/module.ts";
import { to } from "../ops/movement.ts";
import { formatCount, formatFields, inspectSymbol } from "../printing.ts";
import { keep } from "../scope.ts";
import { checkShape } from "../shape.ts";
import { empty, Tensor } from "../tensor/tensor.ts";

/** Parameters with options of their own; unset ones default to those of the optimizer. */
export type Group<O> = { params: Iterable<Tensor> } & Partial<O>;
/** Parameters, or groups of parameters. */
export type Params<O> = Iterable<Tensor> | Iterable<Group<O>>;

/** The options that all optimizers have. */
export interface RateOptions {
  /** The base rate. */
  lr: number;
  /** The rate of a group is lr lrScale: setting the optimizer's lr keeps the ratio of the rates. */
  lrScale: number;
}

/** The interface of an optimizer, and of several that are combined. */
export interface AnyOptimizer {
  /** The base rate; it may be set at any time. */
  lr: number;
  /** A scalar on the device; nothing is changed while it is not 0. */
  foundInf: Tensor | null;
  /** Updates every parameter that has a gradient, in place. */
  step(): void;
  /** Sets every gradient to null. */
  zeroGrad(): void;
  /** Returns the state by name, on the same memory. */
  stateDict(): Record<string, Tensor>;
  /** Copies a state dict into the state. Throws before anything is changed if it does not fit. */
  loadStateDict(dict: Record<string, Tensor>): void;
}

/** The arguments of an update: the parameters of a group that have a gradient, and their state. */
export interface Update<O> {
  kernels: Kernels;
  params: Tensor[];
  w: Floats[];
  dw: Floats[];
  state: Record<string, Tensor[]>;
  /** [1], lr lrScale. */
  lr: Floats;
  /** The bf16 copies of w, if there are any. */
  copies: Floats[];
  foundInf: Floats | null;
  options: O;
}

/** Updates the parameters of each group that have a gradient. */
export abstract class Optimizer<O extends RateOptions> implements AnyOptimizer {
  readonly #op: string;
  readonly #stateNames: readonly string[];
  readonly #groups: { params: Tensor[]; options: O; lr: Tensor }[];
  readonly #state = new Map<Tensor, Record<string, Tensor>>();
  /** A scalar on the device; nothing is changed while it is not 0. */
  foundInf: Tensor | null = null;

  /** `stateNames` lists the state of a parameter: t is a scalar, others have its shape. */
  constructor(
    op: string,
    params: Params<O>,
    defaults: O,
    options: Partial<O>,
    stateNames: readonly string[],
  ) {
    this.#op = op;
    this.#stateNames = stateNames;
    const known = Object.keys(defaults);
    checkOptions(op, options, known);
    if (typeof (params as Iterable<Tensor>)?.[Symbol.iterator] !== "function")
      fail(`${op}: params is ${typeof params}, expected a list of parameters`);
    const list = [...params];
    const groups =
      list[0] instanceof Tensor ? [{ params: list as Tensor[] }] : (list as Group<O>[]);
    const makeState = (w: Tensor) =>
      Object.fromEntries(
        stateNames.map((name) => [name, makePersistent(w, name === "t" ? [] : w.shape, 0)]),
      );
    this.#groups = groups.map(({ params, ...own }) => {
      checkOptions(op, own, known);
      const resolved = { ...defaults, ...defined(options), ...defined(own as Partial<O>) };
      const leaves = [...(params ?? [])];
      if (leaves.length === 0) fail(`${op}: a group has no params, expected parameters`);
      for (const w of leaves) {
        if (!(w instanceof Tensor) || !w.requiresGrad || w.node)
          fail(`${op}: params must be leaf tensors with requiresGrad`);
        if (this.#state.has(w)) fail(`${op}: params has a parameter twice`);
        this.#state.set(w, makeState(w));
      }
      this.checkGroup(op, leaves, resolved);
      return {
        params: leaves,
        options: resolved,
        lr: makePersistent(leaves[0], [], resolved.lr * resolved.lrScale),
      };
    });
    if (this.#groups.length === 0) fail(`${op}: params is empty, expected parameters`);
  }

  protected abstract update(update: Update<O>): void;

  /** Throws unless the options of a group, and the parameters, are valid. */
  protected checkGroup(op: string, _params: readonly Tensor[], options: O): void {
    checkValues(op, options);
  }

  /** True if update() writes the bf16 copies of parameters. */
  protected get updatesBf16Copy(): boolean {
    return false;
  }

  /** Updates every parameter that has a gradient, in place. */
  step(): void {
    const updates = this.#groups.map(({ params, options, lr }) => {
      const updated = params.filter((w) => w.grad);
      const state: Record<string, Tensor[]> = {};
      for (const name of this.#stateNames)
        state[name] = updated.map((w) => this.#getState(w)[name]);
      const withBf16Copy = this.updatesBf16Copy && updated.some((w) => w.storage.hasBf16Copy);
      const update = {
        kernels: lr.device.kernels,
        params: updated,
        w: updated.map((w) => w.floats),
        dw: updated.map((w) => (w.grad as Tensor).floats),
        state,
        lr: lr.floats,
        copies: withBf16Copy ? updated.map((w) => w.storage.bf16Copy as Floats) : [],
        foundInf: this.foundInf && this.foundInf.floats,
        options,
      };
      return { updated, withBf16Copy, update };
    });
    // no update before all copies exist: a group may run out of memory
    for (const { updated, withBf16Copy, update } of updates) {
      this.update(update);
      for (const w of updated) w.storage.bumpVersion(withBf16Copy);
    }
  }

  #getState(w: Tensor): Record<string, Tensor> {
    return this.#state.get(w) ?? fail(`${this.#op}: not a parameter of this optimizer`);
  }

  /** Sets every gradient to null. */
  zeroGrad(): void {
    for (const w of this.#state.keys()) w.grad = null;
  }

  /** The base rate (of the first group); setting it sets that of all groups. */
  get lr(): number {
    return this.#groups[0].options.lr;
  }

  set lr(value: number) {
    checkValues(this.#op, { lr: value, lrScale: 1 });
    for (const group of this.#groups) {
      if (group.options.lr === value) continue;
      group.options.lr = value;
      group.lr.fill(value * group.options.lrScale);
    }
  }

  /** Returns the text that console.log() prints: options and numbers of parameters by group. */
  toString(): string {
    const groups = this.#groups.map(({ params, options }) => {
      const { lrScale, ...shown } = options;
      const fields = formatFields(lrScale === 1 ? shown : options);
      const count = params.reduce((sum, w) => sum + w.size, 0);
      const tensors = formatCount(params.length, "tensor");
      return `${fields}, ${tensors}, ${formatCount(count, "parameter")}`;
    });
    if (groups.length === 1) return `${this.#op}(${groups[0]})`;
    const lines = groups.map((group, i) => `  group ${i}: ${group}`);
    return [`${this.#op}(`, ...lines, ")"].join("\n");
  }

  /** @internal */
  [inspectSymbol](): string {
    return this.toString();
  }

  /** Returns the state of parameter i as `i.m` and so on, on the same memory. */
  stateDict(): Record<string, Tensor> {
    const dict: Record<string, Tensor> = Object.create(null);
    for (const [i, state] of [...this.#state.values()].entries()) {
      for (const [name, x] of Object.entries(state)) dict[`${i}.${name}`] = x.detach();
    }
    return dict;
  }

  /**
   * Copies a state dict into the state. Throws before anything is changed if a name is missing or
   * unknown or a shape differs.
   */
  loadStateDict(dict: Record<string, Tensor>): void {
    loadState(this.stateDict(), dict);
  }
}

/** Copies `dict` into the tensors of `own`, which must have the same names and shapes. */
export function loadState(own: Record<string, Tensor>, dict: Record<string, Tensor>): void {
  checkDict("loadStateDict", dict);
  for (const [name, { shape }] of Object.entries(own)) {
    if (!Object.hasOwn(dict, name)) fail(`loadStateDict: ${name} missing`);
    checkShape("loadStateDict", name, dict[name].shape, shape);
  }
  const unknown = Object.keys(dict).find((name) => !Object.hasOwn(own, name));
  if (unknown) fail(`loadStateDict: ${unknown} unknown`);
  for (const [name, x] of Object.entries(own)) x.assign(to(dict[name].detach(), x.device));
}

/** Returns a tensor that no scope frees. */
export function makePersistent(like: Tensor, shape: readonly number[], value: number): Tensor {
  return keep(empty(like, shape).fill(value));
}

/** Throws unless betas are two numbers from 0 up to 1, and all else is finite and from 0 up. */
export function checkValues(
  op: string,
  { betas, ...numbers }: RateOptions & { betas?: unknown },
): void {
  for (const [key, value] of Object.entries(numbers)) {
    checkNumber(op, key, value, 0);
    if (value === Infinity) fail(`${op}: ${key} is Infinity, expected a finite number`);
  }
  const isPair = Array.isArray(betas) && betas.length === 2 && betas.every((b) => b >= 0 && b < 1);
  if (betas !== undefined && !isPair)
    fail(`${op}: betas are ${betas}, expected two numbers in [0, 1)`);
}
