// The update rules. Each is one kernel over a parameter. Options are PyTorch's; every parameter
// given is decayed: who wants some spared makes two groups.

import { expectNumber, expectOptions, fail } from "../shape.ts";
import { Optimizer, type Params, type Update } from "./optimizer.ts";

export interface SGDOptions {
  lr: number;
  momentum: number;
  weightDecay: number;
}

/** Stochastic gradient descent, with momentum if wanted; weightDecay is an L2 penalty. */
export class SGD extends Optimizer<SGDOptions> {
  constructor(params: Params<SGDOptions>, options: Partial<SGDOptions> = {}) {
    const defaults = { lr: 1e-3, momentum: 0, weightDecay: 0 };
    super(params, settled("SGD", defaults, options), ["velocity"]);
  }

  protected override update({ w, dw, memory, lr, options }: Update<SGDOptions>): void {
    const { momentum, weightDecay } = options;
    const velocity = memory.velocity.floats;
    w.device.kernels.sgd(w.floats, dw.floats, velocity, lr.floats, w.size, momentum, weightDecay);
  }
}

export interface AdamOptions {
  lr: number;
  betas: readonly [number, number];
  eps: number;
  weightDecay: number;
}

/**
 * Adam with the decay apart from the gradient: w shrinks by lr weightDecay. Loshchilov and Hutter
 * (2019).
 */
export class AdamW extends Optimizer<AdamOptions> {
  constructor(params: Params<AdamOptions>, options: Partial<AdamOptions> = {}) {
    const defaults = { lr: 1e-3, betas: [0.9, 0.999] as const, eps: 1e-8, weightDecay: 0.01 };
    super(params, settled("AdamW", defaults, options), ["m", "v"]);
  }

  protected override update(update: Update<AdamOptions>): void {
    adam(update, update.options.weightDecay, 0);
  }
}

/** Adam, its weightDecay being an L2 penalty, part of the gradient. Kingma and Ba (2015). */
export class Adam extends Optimizer<AdamOptions> {
  constructor(params: Params<AdamOptions>, options: Partial<AdamOptions> = {}) {
    const defaults = { lr: 1e-3, betas: [0.9, 0.999] as const, eps: 1e-8, weightDecay: 0 };
    super(params, settled("Adam", defaults, options), ["m", "v"]);
  }

  protected override update(update: Update<AdamOptions>): void {
    adam(update, 0, update.options.weightDecay);
  }
}

function adam(update: Update<AdamOptions>, weightDecay: number, l2: number): void {
  const { w, dw, memory, lr, t, options } = update;
  const {
    betas: [beta1, beta2],
    eps,
  } = options;
  w.device.kernels.adamw(
    w.floats,
    dw.floats,
    memory.m.floats,
    memory.v.floats,
    lr.floats,
    t.floats,
    w.size,
    beta1,
    beta2,
    eps,
    weightDecay,
    l2,
  );
}

/** Options over defaults; an unknown one, or a number where options belong, is an error. */
function settled<O extends { lr: number; betas?: readonly [number, number] }>(
  op: string,
  defaults: O,
  options: Partial<O>,
): O {
  expectOptions(op, options, Object.keys(defaults));
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  const { betas, ...numbers } = { ...defaults, ...Object.fromEntries(given) };
  for (const [key, value] of Object.entries(numbers)) expectNumber(op, key, value as number, 0);
  if (betas && !(betas.length === 2 && betas.every((beta) => beta >= 0 && beta < 1)))
    fail(`${op}: betas are ${betas}, expected two numbers from 0 up to 1`);
  return { ...defaults, ...Object.fromEntries(given) };
}
