// What optimizers share: groups of parameters, what they remember of each, and the learning rate
// and step number as tensors, so that a captured step can be replayed with other values.

import { to } from "../ops/movement.ts";
import { keep } from "../scope.ts";
import { expectOptions, expectShape, fail } from "../shape.ts";
import { empty, Tensor } from "../tensor.ts";

/** Parameters with options of their own; what a group leaves out is the optimizer's. */
export type Group<O> = { params: Iterable<Tensor> } & Partial<O>;
/** What an optimizer is given: parameters, or groups of them. */
export type Params<O> = Iterable<Tensor> | Iterable<Group<O>>;

/** What an update works on: the parameter, its gradient, and what was remembered of it. */
export interface Update<O> {
  w: Tensor;
  dw: Tensor;
  memory: Record<string, Tensor>;
  lr: Tensor;
  t: Tensor;
  options: O;
}

/** Calls an update for each parameter that has a gradient. */
export abstract class Optimizer<O extends { lr: number }> {
  readonly #groups: { params: Tensor[]; options: O; lr: Tensor }[];
  readonly #memory = new Map<Tensor, Record<string, Tensor>>();
  readonly #t: Tensor;
  readonly #one: Tensor;

  constructor(params: Params<O>, options: O, memories: readonly string[]) {
    const op = this.constructor.name;
    const list = [...params];
    const groups =
      list[0] instanceof Tensor ? [{ params: list as Tensor[] }] : (list as Group<O>[]);
    this.#groups = groups.map(({ params, ...own }) => {
      expectOptions(op, own, Object.keys(options));
      const leaves = [...params];
      if (leaves.length === 0) fail(`${op}: params is empty, expected parameters`);
      for (const w of leaves) {
        if (!(w instanceof Tensor) || !w.requiresGrad || w.node)
          fail(`${op}: params has something else than leaves that require a gradient`);
        if (this.#memory.has(w)) fail(`${op}: params has a parameter twice`);
        this.#memory.set(w, Object.fromEntries(memories.map((m) => [m, kept(w, w.shape, 0)])));
      }
      const settled = { ...options, ...own };
      return { params: leaves, options: settled, lr: kept(leaves[0], [], settled.lr) };
    });
    const first = this.#groups[0]?.params[0] ?? fail(`${op}: params is empty, expected parameters`);
    this.#t = kept(first, [], 0);
    this.#one = kept(first, [], 1);
  }

  protected abstract update(update: Update<O>): void;

  /** Changes every parameter that has a gradient, in place. */
  step(): void {
    this.#t.device.kernels.accumulate(this.#one.floats, this.#t.floats, 1);
    for (const { params, options, lr } of this.#groups) {
      for (const w of params) {
        if (!w.grad) continue;
        const memory = this.#memory.get(w) ?? {};
        this.update({ w, dw: w.grad, memory, lr, t: this.#t, options });
        w.storage.version++;
      }
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
    for (const group of this.#groups) {
      group.options.lr = value;
      group.lr.fill(value);
    }
  }

  /** The step number as `t`, and what is remembered of parameter i, as `i.m` and so on. */
  stateDict(): Record<string, Tensor> {
    const dict: Record<string, Tensor> = Object.create(null);
    dict.t = this.#t.detach();
    for (const [i, memory] of [...this.#memory.values()].entries())
      for (const [name, x] of Object.entries(memory)) dict[`${i}.${name}`] = x.detach();
    return dict;
  }

  /**
   * Takes over what stateDict() gave. Throws before anything is changed if a name or shape is off.
   */
  loadStateDict(dict: Record<string, Tensor>): void {
    const own = this.stateDict();
    for (const [name, { shape }] of Object.entries(own)) {
      if (!Object.hasOwn(dict, name)) fail(`loadStateDict: ${name} missing`);
      expectShape("loadStateDict", name, dict[name].shape, shape);
    }
    const unknown = Object.keys(dict).find((name) => !Object.hasOwn(own, name));
    if (unknown) fail(`loadStateDict: ${unknown} unknown`);
    for (const [name, x] of Object.entries(own)) x.assign(to(dict[name].detach(), x.device));
  }
}

function kept(like: Tensor, shape: readonly number[], value: number): Tensor {
  return keep(empty(like, shape).fill(value));
}
