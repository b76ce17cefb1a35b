// The layers: an op with its parameters. They start as PyTorch's layers start.

import { checkOptions, fail } from "../errors.ts";
import { ones, zeros } from "../ops/creation.ts";
import { add, mul } from "../ops/elementwise.ts";
import { type Activation, linear } from "../ops/linear.ts";
import { linearCrossEntropy } from "../ops/loss.ts";
import { embedding } from "../ops/movement.ts";
import { layerNorm, residualLayerNorm, residualRMSNorm, rmsNorm } from "../ops/normalization.ts";
import { checkProbability, dropout, rand, randn } from "../ops/random.ts";
import { keep } from "../scope.ts";
import { checkShape } from "../shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { Module, parameter } from "./module.ts";

/** Gives a parameter its first values. */
export type Init = (shape: number[]) => Tensor;

/** y = x w^T + b.  weight [out, in], bias [out], both uniform within 1 / sqrt(in) of 0 at first. */
export class Linear extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor | null;

  /** `weight` shares the weight of another layer; `init` gives other first values. */
  constructor(
    inputs: number,
    outputs: number,
    options: { bias?: boolean; weight?: Tensor; init?: Init } = {},
  ) {
    super();
    checkOptions("Linear", options, ["bias", "weight", "init"]);
    const bound = 1 / Math.sqrt(inputs);
    const init = options.init ?? ((shape) => add(mul(rand(shape), 2 * bound), -bound));
    this.weight = options.weight ?? parameter(init([outputs, inputs]));
    checkShape("Linear", "weight", this.weight.shape, [outputs, inputs]);
    this.bias = (options.bias ?? true) ? parameter(init([outputs])) : null;
  }

  /** `activation` is applied to the result, in the same pass over it where it can be. */
  forward(x: Tensor, options: { activation?: Activation } = {}): Tensor {
    return linear(x, this.weight, this.bias, options);
  }

  /** The cross-entropy of forward(x) with target classes, without keeping what forward() gives. */
  linearCrossEntropy(x: Tensor, targets: Tensor): Tensor {
    return linearCrossEntropy(x, this.weight, this.bias, targets);
  }
}

/** y = weight[idx].  weight [count, size], standard normal at first. */
export class Embedding extends Module {
  readonly weight: Tensor;

  /** A `fixed` table is no parameter: nothing trains it, and no checkpoint holds it. */
  constructor(count: number, size: number, options: { init?: Init; fixed?: boolean } = {}) {
    super();
    checkOptions("Embedding", options, ["init", "fixed"]);
    const weight = (options.init ?? randn)([count, size]);
    this.weight = options.fixed ? keep(weight) : parameter(weight);
  }

  forward(idx: Tensor): Tensor {
    return embedding(idx, this.weight, { dtype: this.dtype });
  }
}

/**
 * Normalizes the last axis to mean 0 and variance 1, then scales (weight, at first 1) and shifts
 * (bias, 0).
 */
export class LayerNorm extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor | null;
  readonly eps: number;

  constructor(size: number, options: { eps?: number; bias?: boolean } = {}) {
    super();
    checkOptions("LayerNorm", options, ["eps", "bias"]);
    this.weight = parameter(ones([size]));
    this.bias = (options.bias ?? true) ? parameter(zeros([size])) : null;
    this.eps = options.eps ?? 1e-5;
  }

  forward(x: Tensor): Tensor {
    return layerNorm(x, this.weight, this.bias, { eps: this.eps });
  }

  /** Adds a branch to x, if there is one, dropping some of it; gives x, and it normalized. */
  join(x: Tensor, branch: Tensor | null, dropout = 0): [x: Tensor, normalized: Tensor] {
    if (!branch) return [x, this.forward(x)];
    return residualLayerNorm(x, branch, this.weight, this.bias, { eps: this.eps, dropout });
  }
}

/** Divides the last axis by its root mean square, then scales it (weight, at first 1). */
export class RMSNorm extends Module {
  readonly weight: Tensor;
  readonly eps: number;

  constructor(size: number, options: { eps?: number } = {}) {
    super();
    checkOptions("RMSNorm", options, ["eps"]);
    this.weight = parameter(ones([size]));
    this.eps = options.eps ?? 1e-5;
  }

  forward(x: Tensor): Tensor {
    return rmsNorm(x, this.weight, { eps: this.eps });
  }

  /** As LayerNorm's. */
  join(x: Tensor, branch: Tensor | null, dropout = 0): [x: Tensor, normalized: Tensor] {
    if (!branch) return [x, this.forward(x)];
    return residualRMSNorm(x, branch, this.weight, { eps: this.eps, dropout });
  }
}

/** Drops each element with probability p while training. */
export class Dropout extends Module {
  readonly p: number;

  constructor(p = 0.5) {
    super();
    checkProbability("Dropout", p);
    this.p = p;
  }

  forward(x: Tensor): Tensor {
    return dropout(x, { p: this.p, training: this.training });
  }
}

/** Runs modules, or plain functions, one after the other. */
export class Sequential extends Module {
  readonly layers: (Layer | ((x: Tensor) => Tensor))[];

  constructor(...layers: (Layer | ((x: Tensor) => Tensor))[]) {
    super();
    for (const [i, each] of layers.entries())
      if (!(each instanceof Module || typeof each === "function"))
        fail(`Sequential: layer ${i} is neither a module nor a function`);
    this.layers = layers;
  }

  forward(x: Tensor): Tensor {
    return this.layers.reduce((y, f) => (typeof f === "function" ? f(y) : f.forward(y)), x);
  }
}

type Layer = Module & { forward(x: Tensor): Tensor };
