// Optimizers: one kernel over all parameters of a group. Options are PyTorch's. Weight decay
// applies to every parameter of a group; groups with different decay exempt some.

import type { Floats } from "../backend/device.ts";
import { fail } from "../errors.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { Optimizer, type Params, type RateOptions, type Update } from "./optimizer.ts";

/** Options of SGD. */
export interface SGDOptions extends RateOptions {
  /** The share of the last update that is added; default 0. */
  momentum: number;
  /** The factor of an L2 penalty; default 0. */
  weightDecay: number;
}

/**
 * Stochastic gradient descent, with momentum if wanted; weightDecay is an L2 penalty.
 * @example
 * const w = tensor([1, 2], { requiresGrad: true });
 * const optimizer = new optim.SGD([w], { lr: 0.5 });
 * sum(w).backward();
 * optimizer.step();
 * console.log(w.toArray()); // [ 0.5, 1.5 ]
 */
export class SGD extends Optimizer<SGDOptions> {
  constructor(params: Params<SGDOptions>, options: Partial<SGDOptions> = {}) {
    const defaults = { lr: 1e-3, lrScale: 1, momentum: 0, weightDecay: 0 };
    super("SGD", params, defaults, options, ["velocity"]);
  }

  protected override update(update: Update<SGDOptions>): void {
    const { kernels, w, dw, state, lr, foundInf, options } = update;
    const { momentum, weightDecay } = options;
    kernels.sgd(w, dw, buffersOf(state.velocity), lr, foundInf, momentum, weightDecay);
  }
}

/** Options of Adam and AdamW. */
export interface AdamOptions extends RateOptions {
  /** The decay rates of the averages of gradients and of their squares; default [0.9, 0.999]. */
  betas: readonly [number, number];
  /** Added to the root of the average square; default 1e-8. */
  eps: number;
  /** The decay of weights; default 0.01 for AdamW, 0 for Adam. */
  weightDecay: number;
}

/** The shared part of Adam and AdamW, which differ in how weights decay. */
abstract class AdamFamily extends Optimizer<AdamOptions> {
  constructor(
    op: string,
    params: Params<AdamOptions>,
    options: Partial<AdamOptions>,
    weightDecay: number,
  ) {
    const betas = [0.9, 0.999] as const;
    const defaults = { lr: 1e-3, lrScale: 1, betas, eps: 1e-8, weightDecay };
    super(op, params, defaults, options, ["m", "v", "t"]);
  }

  protected override get updatesBf16Copy(): boolean {
    return true;
  }

  protected adam(update: Update<AdamOptions>, weightDecay: number, l2: number): void {
    const { kernels, w, dw, state, copies, lr, foundInf, options } = update;
    const m = buffersOf(state.m);
    const v = buffersOf(state.v);
    const t = buffersOf(state.t);
    const [beta1, beta2] = options.betas;
    kernels.adamw(w, dw, m, v, copies, t, lr, foundInf, beta1, beta2, options.eps, weightDecay, l2);
  }
}

/**
 * Adam with decoupled weight decay: w is multiplied by 1 - lr weightDecay. Loshchilov and Hutter
 * (2019).
 * @example
 * const layer = new nn.Linear(4, 3);
 * const optimizer = new optim.AdamW(layer.parameters(), { lr: 1e-3, weightDecay: 0.1 });
 * sum(layer.forward(randn([2, 4]))).backward();
 * optimizer.step();
 * optimizer.zeroGrad();
 */
export class AdamW extends AdamFamily {
  constructor(params: Params<AdamOptions>, options: Partial<AdamOptions> = {}) {
    super("AdamW", params, options, 0.01);
  }

  protected override update(update: Update<AdamOptions>): void {
    this.adam(update, update.options.weightDecay, 0);
  }
}

/**
 * Adam, its weightDecay being an L2 penalty, part of the gradient. Kingma and Ba (2015).
 * @example
 * const layer = new nn.Linear(4, 3);
 * const optimizer = new optim.Adam(layer.parameters(), { lr: 1e-3 });
 * sum(layer.forward(randn([2, 4]))).backward();
 * optimizer.step();
 * optimizer.zeroGrad();
 */
export class Adam extends AdamFamily {
  constructor(params: Params<AdamOptions>, options: Partial<AdamOptions> = {}) {
    super("Adam", params, options, 0);
  }

  protected override update(update: Update<AdamOptions>): void {
    this.adam(update, 0, update.options.weightDecay);
  }
}

/** Options of RMSprop. */
export interface RMSpropOptions extends RateOptions {
  /** The share of the average of squares that a step keeps. */
  alpha: number;
  /** Added to the root of the average square; default 1e-8. */
  eps: number;
  /** The factor of an L2 penalty; default 0. */
  weightDecay: number;
}

/**
 * Divides the gradient by the root of a running average of its squares: v = alpha v + (1 - alpha)
 * g^2; w -= lr g / (sqrt(v) + eps). weightDecay is an L2 penalty. Tieleman and Hinton (2012).
 * @example
 * const layer = new nn.Linear(4, 3);
 * const optimizer = new optim.RMSprop(layer.parameters(), { lr: 1e-3 });
 * sum(layer.forward(randn([2, 4]))).backward();
 * optimizer.step();
 * optimizer.zeroGrad();
 */
export class RMSprop extends Optimizer<RMSpropOptions> {
  constructor(params: Params<RMSpropOptions>, options: Partial<RMSpropOptions> = {}) {
    const defaults = { lr: 1e-2, lrScale: 1, alpha: 0.99, eps: 1e-8, weightDecay: 0 };
    super("RMSprop", params, defaults, options, ["m", "v", "t"]);
  }

  protected override checkGroup(
    op: string,
    params: readonly Tensor[],
    options: RMSpropOptions,
  ): void {
    super.checkGroup(op, params, options);
    if (options.alpha >= 1) fail(`${op}: alpha is ${options.alpha}, expected a number below 1`);
  }

  protected override get updatesBf16Copy(): boolean {
    return true;
  }

  /** Adam without momentum; at a late step t its correction of the first steps is 1. */
  protected override update(update: Update<RMSpropOptions>): void {
    const { kernels, w, dw, state, copies, lr, foundInf, options } = update;
    const { alpha, eps, weightDecay } = options;
    for (const t of state.t) t.fill(1e30);
    const m = buffersOf(state.m);
    const v = buffersOf(state.v);
    kernels.adamw(
      w,
      dw,
      m,
      v,
      copies,
      buffersOf(state.t),
      lr,
      foundInf,
      0,
      alpha,
      eps,
      0,
      weightDecay,
    );
  }
}

/** Returns the buffers of tensors, as kernels take them. */
export function buffersOf(list: readonly Tensor[]): Floats[] {
  return list.map((x) => x.floats);
}
