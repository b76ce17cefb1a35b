// What optimizers share: groups of parameters, what they remember of each, and the learning rate as
// a tensor, so that a captured step can be replayed with another.

import type { Floats, Kernels } from "../backend/device.ts";
import { checkNumber, checkOptions, defined, fail } from "../errors.ts";
import { checkDict } from "../nn/module.ts";
import { to } from "../ops/movement.ts";
import { keep } from "../scope.ts";
import { checkShape } from "../shape.ts";
import { empty, Tensor } from "../tensor/tensor.ts";

/** Parameters with options of their own; what a group leaves out is the optimizer's. */
export type Group<O> = { params: Iterable<Tensor> } & Partial<O>;
/** What an optimizer is given: parameters, or groups of them. */
export type Params<O> = Iterable<Tensor> | Iterable<Group<O>>;

/**
 * What an update works on: the memory of a group's parameters, of their gradients, and of what was
 * remembered of them, by name.
 */
export interface Update<O> {
  kernels: Kernels;
  w: Floats[];
  dw: Floats[];
  memory: Record<string, Floats[]>;
  lr: Floats;
  /** Those of w in bf16, where they are kept; else none. */
  copies: Floats[];
  foundInf: Floats | null;
  options: O;
}

/** Calls an update for the parameters of each group that have a gradient. */
export abstract class Optimizer<O extends { lr: number }> {
  readonly #op: string;
  readonly #memories: readonly string[];
  readonly #groups: { params: Tensor[]; options: O; lr: Tensor }[];
  readonly #memory = new Map<Tensor, Record<string, Tensor>>();
  /** A number on the device [1]: once it is not 0, AdamW changes nothing any more. */
  foundInf: Tensor | null = null;

  /** `memories` names what is remembered: t is a number, all else has the parameter's shape. */
  constructor(
    op: string,
    params: Params<O>,
    defaults: O,
    options: Partial<O>,
    memories: readonly string[],
  ) {
    this.#op = op;
    this.#memories = memories;
    const known = Object.keys(defaults);
    checkOptions(op, options, known);
    if (typeof (params as Iterable<Tensor>)?.[Symbol.iterator] !== "function")
      fail(`${op}: params is ${typeof params}, expected a list of parameters`);
    const list = [...params];
    const groups =
      list[0] instanceof Tensor ? [{ params: list as Tensor[] }] : (list as Group<O>[]);
    const remember = (w: Tensor, name: string) => kept(w, name === "t" ? [] : w.shape, 0);
    this.#groups = groups.map(({ params, ...own }) => {
      checkOptions(op, own, known);
      const settled = { ...defaults, ...defined(options), ...defined(own as Partial<O>) };
      checkSound(op, settled);
      const leaves = [...(params ?? [])];
      if (leaves.length === 0) fail(`${op}: a group has no params, expected parameters`);
      for (const w of leaves) {
        if (!(w instanceof Tensor) || !w.requiresGrad || w.node)
          fail(`${op}: params has something else than leaves that require a gradient`);
        if (this.#memory.has(w)) fail(`${op}: params has a parameter twice`);
        this.#memory.set(w, Object.fromEntries(memories.map((m) => [m, remember(w, m)])));
      }
      return { params: leaves, options: settled, lr: kept(leaves[0], [], settled.lr) };
    });
    if (this.#groups.length === 0) fail(`${op}: params is empty, expected parameters`);
  }

  protected abstract update(update: Update<O>): void;

  /** Does update() write the copies in bf16? */
  protected get updatesBf16Copy(): boolean {
    return false;
  }

  /** Changes every parameter that has a gradient, in place. */
  step(): void {
    for (const { params, options, lr } of this.#groups) {
      const moved = params.filter((w) => w.grad);
      const dw = moved.map((w) => (w.grad as Tensor).floats);
      const remembered = (name: string) =>
        moved.flatMap((w) => this.#memory.get(w)?.[name].floats ?? []);
      const memory = Object.fromEntries(this.#memories.map((name) => [name, remembered(name)]));
      const w = moved.map((w) => w.floats);
      const withBf16Copy = this.updatesBf16Copy && moved.some((w) => w.storage.hasBf16Copy);
      const copies = withBf16Copy ? moved.map((w) => w.storage.bf16Copy as Floats) : [];
      const [{ kernels }, foundInf] = [lr.device, this.foundInf && this.foundInf.floats];
      this.update({ kernels, w, dw, memory, copies, lr: lr.floats, foundInf, options });
      for (const w of moved) w.storage.bumpVersion(withBf16Copy);
    }
  }

  /** Sets every gradient to null. */
  zeroGrad(): void {
    for (const w of this.#memory.keys()) w.grad = null;
  }

  /** The learning rate (of the first group); setting it sets that of all groups. */
  get lr(): number {
    return this.#groups[0].options.lr;
  }

  set lr(value: number) {
    checkSound(this.#op, { lr: value });
    for (const group of this.#groups) {
      if (group.options.lr === value) continue;
      group.options.lr = value;
      group.lr.fill(value);
    }
  }

  /** What is remembered of parameter i, as `i.m` and so on. */
  stateDict(): Record<string, Tensor> {
    const dict: Record<string, Tensor> = Object.create(null);
    for (const [i, memory] of [...this.#memory.values()].entries())
      for (const [name, x] of Object.entries(memory)) dict[`${i}.${name}`] = x.detach();
    return dict;
  }

  /**
   * Takes over what stateDict() gave. Throws before anything is changed if a name or shape is off.
   */
  loadStateDict(dict: Record<string, Tensor>): void {
    checkDict("loadStateDict", dict);
    const own = this.stateDict();
    for (const [name, { shape }] of Object.entries(own)) {
      if (!Object.hasOwn(dict, name)) fail(`loadStateDict: ${name} missing`);
      checkShape("loadStateDict", name, dict[name].shape, shape);
    }
    const unknown = Object.keys(dict).find((name) => !Object.hasOwn(own, name));
    if (unknown) fail(`loadStateDict: ${unknown} unknown`);
    for (const [name, x] of Object.entries(own)) x.assign(to(dict[name].detach(), x.device));
  }
}

function kept(like: Tensor, shape: readonly number[], value: number): Tensor {
  return keep(empty(like, shape).fill(value));
}

/** Throws unless betas are two numbers from 0 up to 1, and all else is finite and from 0 up. */
function checkSound(op: string, { betas, ...numbers }: { betas?: unknown; lr: number }): void {
  for (const [key, value] of Object.entries(numbers)) {
    checkNumber(op, key, value, 0);
    if (value === Infinity) fail(`${op}: ${key} is Infinity, expected a finite number`);
  }
  const isPair = Array.isArray(betas) && betas.length === 2 && betas.every((b) => b >= 0 && b < 1);
  if (betas !== undefined && !isPair)
    fail(`${op}: betas are ${betas}, expected two numbers from 0 up to 1`);
}
