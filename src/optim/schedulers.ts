// Schedulers by PyTorch's names: objects that set the learning rate of an optimizer at each step().
// The rate is a function of the number of steps; schedule.ts has such functions for GPTs.

import { checkNumber, checkOptions, fail } from "../errors.ts";
import { formatFields, inspectSymbol } from "../printing.ts";
import type { AnyOptimizer } from "./optimizer.ts";

/** The base of all schedulers: lr = f(number of steps, the rate at the start). */
abstract class Scheduler {
  readonly #optimizer: AnyOptimizer;
  /** The rate at the start. */
  readonly baseLr: number;
  /** The number of calls of step(). */
  lastEpoch = 0;

  constructor(optimizer: AnyOptimizer) {
    if (typeof optimizer?.lr !== "number" || typeof optimizer.step !== "function")
      fail(`${new.target.name}: optimizer is ${typeof optimizer}, expected an optimizer`);
    this.#optimizer = optimizer;
    this.baseLr = optimizer.lr;
  }

  protected abstract rateAt(step: number): number;

  /** Sets the rate of the step with the number `step`. */
  protected apply(step: number): void {
    this.lastEpoch = step;
    this.#optimizer.lr = this.rateAt(step);
  }

  /** Sets the rate of the next step; call it after optimizer.step(). */
  step(): void {
    this.apply(this.lastEpoch + 1);
  }

  /** Returns the text that console.log() prints: the rates and the number of steps. */
  toString(): string {
    const { baseLr, lastEpoch } = this;
    const fields = formatFields({ lr: this.#optimizer.lr, baseLr, lastEpoch });
    return `${this.constructor.name}(${fields})`;
  }

  /** @internal */
  [inspectSymbol](): string {
    return this.toString();
  }

  /** Returns the current rate in a list, as PyTorch does. */
  getLastLr(): number[] {
    return [this.#optimizer.lr];
  }
}

/**
 * lr = base lr times fn(step)
 * @example
 * const optimizer = new optim.SGD([zeros([1], { requiresGrad: true })], { lr: 1 });
 * const scheduler = new optim.LambdaLR(optimizer, (step) => 1 / (step + 1));
 * scheduler.step();
 * console.log(optimizer.lr); // 0.5
 */
export class LambdaLR extends Scheduler {
  readonly #fn: (step: number) => number;

  constructor(optimizer: AnyOptimizer, fn: (step: number) => number) {
    super(optimizer);
    if (typeof fn !== "function") fail(`LambdaLR: fn is ${typeof fn}, expected a function`);
    this.#fn = fn;
    this.apply(0);
  }

  protected override rateAt(step: number): number {
    return this.baseLr * this.#fn(step);
  }
}

/**
 * Multiplies the rate by gamma (0.1) after every stepSize steps.
 * @example
 * const optimizer = new optim.SGD([zeros([1], { requiresGrad: true })], { lr: 1 });
 * const scheduler = new optim.StepLR(optimizer, { stepSize: 2, gamma: 0.5 });
 * scheduler.step();
 * scheduler.step();
 * console.log(optimizer.lr); // 0.5
 */
export class StepLR extends LambdaLR {
  constructor(optimizer: AnyOptimizer, options: { stepSize: number; gamma?: number }) {
    checkOptions("StepLR", options, ["stepSize", "gamma"]);
    const { stepSize, gamma = 0.1 } = options;
    checkNumber("StepLR", "stepSize", stepSize, 1);
    checkNumber("StepLR", "gamma", gamma);
    super(optimizer, (step) => gamma ** Math.floor(step / stepSize));
  }
}

/**
 * Multiplies the rate by gamma after every step.
 * @example
 * const optimizer = new optim.SGD([zeros([1], { requiresGrad: true })], { lr: 1 });
 * const scheduler = new optim.ExponentialLR(optimizer, { gamma: 0.5 });
 * scheduler.step();
 * console.log(optimizer.lr); // 0.5
 */
export class ExponentialLR extends LambdaLR {
  constructor(optimizer: AnyOptimizer, options: { gamma: number }) {
    checkOptions("ExponentialLR", options, ["gamma"]);
    const { gamma } = options;
    checkNumber("ExponentialLR", "gamma", gamma);
    super(optimizer, (step) => gamma ** step);
  }
}

/**
 * Grows linearly from startFactor (1/3) to endFactor (1) times the rate, over totalIters (5) steps.
 * @example
 * const optimizer = new optim.SGD([zeros([1], { requiresGrad: true })], { lr: 1 });
 * new optim.LinearLR(optimizer, { startFactor: 0.5 });
 * console.log(optimizer.lr); // 0.5
 */
export class LinearLR extends LambdaLR {
  constructor(
    optimizer: AnyOptimizer,
    options: { startFactor?: number; endFactor?: number; totalIters?: number } = {},
  ) {
    checkOptions("LinearLR", options, ["startFactor", "endFactor", "totalIters"]);
    const { startFactor = 1 / 3, endFactor = 1, totalIters = 5 } = options;
    for (const [name, value] of Object.entries({ startFactor, endFactor, totalIters }))
      checkNumber("LinearLR", name, value, 0);
    const progress = (step: number) => Math.min(1, step / totalIters);
    super(optimizer, (step) => startFactor + (endFactor - startFactor) * progress(step));
  }
}

/**
 * Falls from the rate to etaMin (0) along half a cosine over tMax steps, and rises again after it.
 * @example
 * const optimizer = new optim.SGD([zeros([1], { requiresGrad: true })], { lr: 1 });
 * const scheduler = new optim.CosineAnnealingLR(optimizer, { tMax: 2 });
 * scheduler.step();
 * console.log(optimizer.lr.toFixed(3)); // 0.500
 */
export class CosineAnnealingLR extends Scheduler {
  readonly #tMax: number;
  readonly #etaMin: number;

  constructor(optimizer: AnyOptimizer, options: { tMax: number; etaMin?: number }) {
    checkOptions("CosineAnnealingLR", options, ["tMax", "etaMin"]);
    super(optimizer);
    const { tMax, etaMin = 0 } = options;
    checkNumber("CosineAnnealingLR", "tMax", tMax, 1);
    checkNumber("CosineAnnealingLR", "etaMin", etaMin, 0);
    this.#tMax = tMax;
    this.#etaMin = etaMin;
  }

  protected override rateAt(step: number): number {
    const share = (1 + Math.cos((Math.PI * step) / this.#tMax)) / 2;
    return this.#etaMin + (this.baseLr - this.#etaMin) * share;
  }
}
