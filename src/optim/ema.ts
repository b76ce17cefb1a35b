// An exponential moving average of a model's weights, which is usually better than the weights at
// the end of training, because it averages the noise of the last steps.

import { noGrad } from "../autograd.ts";
import { checkOptions, fail } from "../errors.ts";
import { Module } from "../nn/module.ts";
import { relu } from "../ops/activations.ts";
import { add, div, sub } from "../ops/elementwise.ts";
import { formatCount, inspectSymbol } from "../printing.ts";
import { scope } from "../scope.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";
import { buffersOf } from "./algorithms.ts";
import { loadState, makePersistent } from "./optimizer.ts";

/** Options of EMA. */
export interface EMAOptions {
  /** The share of an average that each update keeps, from 0 up to 1. */
  decay: number;
}

/**
 * Averages the trainable weights of a model: each update() moves the averages towards the weights,
 * average += (1 - d) (weight - average), with d = min(decay, (1 + t) / (10 + t)) after t updates,
 * so that the first weights are forgotten soon. Polyak and Juditsky (1992); the ramp is that of
 * TensorFlow's ExponentialMovingAverage.
 * @example
 * const layer = new nn.Linear(4, 3);
 * const ema = new optim.EMA(layer, { decay: 0.99 });
 * layer.weight.fill(1);
 * ema.update(); // in training, after the optimizer's step
 * ema.swap(); // the layer has the averages
 * ema.swap(); // and its own weights again
 */
export class EMA {
  readonly #decay: number;
  readonly #weights = new Map<string, Tensor>();
  readonly #averages = new Map<string, Tensor>();
  /** [], the number of updates. */
  readonly #t: Tensor;

  constructor(model: Module, options: EMAOptions) {
    if (!(model instanceof Module)) fail(`EMA: model is ${typeof model}, expected a module`);
    checkOptions("EMA", options, ["decay"]);
    const { decay } = options;
    if (!(decay >= 0 && decay < 1)) fail(`EMA: decay is ${decay}, expected a number in [0, 1)`);
    this.#decay = decay;
    for (const [name, w] of model.namedParameters()) {
      if (!w.requiresGrad) continue;
      this.#weights.set(name, w);
      this.#averages.set(name, makePersistent(w, w.shape, 0).assign(w));
    }
    const [first] = this.#weights.values();
    if (!first) fail("EMA: model has no trainable weights");
    this.#t = makePersistent(first, [], 0);
  }

  /** Moves the averages towards the weights. It may be part of a captured step. */
  update(): void {
    const averages = [...this.#averages.values()];
    scope(() =>
      noGrad(() => {
        const least = 1 - this.#decay;
        const ramp = div(9, add(this.#t, 10)); // 1 - (1 + t) / (10 + t)
        const weight = add(relu(sub(ramp, least)), least); // the larger of the two
        const x = buffersOf([...this.#weights.values()]);
        weight.device.kernels.lerp(buffersOf(averages), x, weight.floats, null);
        this.#t.assign(add(this.#t, 1));
      }),
    );
    for (const average of averages) average.storage.bumpVersion();
  }

  /** Exchanges the weights of the model and the averages, in place. */
  swap(): void {
    scope(() => {
      for (const [name, w] of this.#weights) {
        const average = this.#averages.get(name) as Tensor;
        const copy = empty(w).assign(w);
        w.assign(average);
        average.assign(copy);
      }
    });
  }

  /** Returns the text that console.log() prints: the decay and the number of parameters. */
  toString(): string {
    const averages = [...this.#averages.values()];
    const count = averages.reduce((sum, x) => sum + x.size, 0);
    return (
      `EMA(decay=${this.#decay}, ${formatCount(averages.length, "tensor")}, ` +
      `${formatCount(count, "parameter")})`
    );
  }

  /** @internal */
  [inspectSymbol](): string {
    return this.toString();
  }

  /** Returns the averages as `averages.NAME` and the number of updates t, on the same memory. */
  stateDict(): Record<string, Tensor> {
    const dict: Record<string, Tensor> = Object.create(null);
    for (const [name, average] of this.#averages) dict[`averages.${name}`] = average.detach();
    dict.t = this.#t.detach();
    return dict;
  }

  /** Copies a state dict into the state. Throws before anything is changed if it does not fit. */
  loadStateDict(dict: Record<string, Tensor>): void {
    loadState(this.stateDict(), dict);
  }
}
