// Layers: ops with their parameters, initialized as PyTorch initializes them.

import type { Device } from "../backend/device.ts";
import { checkOptions, checkSize, describe, fail } from "../errors.ts";
import { ones, zeros } from "../ops/creation.ts";
import { add, mul } from "../ops/elementwise.ts";
import { type Activation, linear } from "../ops/linear.ts";
import { linearCrossEntropy } from "../ops/loss.ts";
import { embedding } from "../ops/movement.ts";
import { layerNorm, residualLayerNorm, residualRMSNorm, rmsNorm } from "../ops/normalization.ts";
import { checkProbability, dropout, rand, randn } from "../ops/random.ts";
import { formatFields } from "../printing.ts";
import { keep } from "../scope.ts";
import { checkShape, type Shape } from "../shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { Module, parameter } from "./module.ts";
import { ResidualStream } from "./residual.ts";

/** Returns initial values for a parameter of the given shape. */
export type Init = (shape: number[]) => Tensor;

/** Returns numbers that are uniform from low to high, on the default device or another. */
export function randBetween(
  shape: Shape,
  low: number,
  high: number,
  options: { device?: Device } = {},
): Tensor {
  return add(mul(rand(shape, options), high - low), low);
}

/** Returns a parameter that starts uniform in +-bound. */
export function uniformParameter(shape: number[], bound: number): Tensor {
  return parameter(randBetween(shape, -bound, bound));
}

/**
 * y = x w^T + b. weight [out, in] and bias [out] start uniform in +-1 / sqrt(in).
 * @example
 * const layer = new nn.Linear(4, 3);
 * console.log(layer.forward(randn([2, 4])).shape); // [ 2, 3 ]
 */
export class Linear extends Module {
  /** [out, in]. */
  readonly weight: Tensor;
  /** [out]; null if there is none. */
  readonly bias: Tensor | null;

  /** `weight` shares the weight of another layer; `init` replaces the initialization. */
  constructor(
    inputs: number,
    outputs: number,
    options: { bias?: boolean; weight?: Tensor; init?: Init } = {},
  ) {
    super();
    checkOptions("Linear", options, ["bias", "weight", "init"]);
    checkSize("Linear", "inputs", inputs);
    checkSize("Linear", "outputs", outputs);
    const bound = 1 / Math.sqrt(inputs);
    const init = options.init ?? ((shape) => randBetween(shape, -bound, bound));
    this.weight = options.weight ?? parameter(init([outputs, inputs]));
    checkShape("Linear", "weight", this.weight.shape, [outputs, inputs]);
    this.bias = (options.bias ?? true) ? parameter(init([outputs])) : null;
  }

  override extraRepr(): string {
    const [outputs, inputs] = this.weight.shape;
    return `${inputs} -> ${outputs}, bias=${this.bias !== null}`;
  }

  /** x [..., in] to [..., out]; `activation` is fused with the matmul where the backend can. */
  forward(x: Tensor, options: { activation?: Activation } = {}): Tensor {
    return linear(x, this.weight, this.bias, options);
  }

  /** Returns the cross-entropy of forward(x) with target classes, and does not keep the logits. */
  crossEntropy(x: Tensor, targets: Tensor): Tensor {
    return linearCrossEntropy(x, this.weight, this.bias, targets);
  }
}

/**
 * y = weight[idx]. weight [count, size] starts standard normal.
 * @example
 * const layer = new nn.Embedding(10, 4);
 * console.log(layer.forward(tensor([[1, 2, 3]], { dtype: "i32" })).shape); // [ 1, 3, 4 ]
 */
export class Embedding extends Module {
  /** The rows of the table [count, size]. */
  readonly weight: Tensor;

  /** A `fixed` table is not a parameter: it is not trained, and not part of a checkpoint. */
  constructor(count: number, size: number, options: { init?: Init; fixed?: boolean } = {}) {
    super();
    checkOptions("Embedding", options, ["init", "fixed"]);
    checkSize("Embedding", "count", count);
    checkSize("Embedding", "size", size);
    const weight = (options.init ?? randn)([count, size]);
    this.weight = options.fixed ? keep(weight) : parameter(weight);
  }

  override extraRepr(): string {
    return this.weight.shape.join(", ");
  }

  /** idx of i32, any shape, to [..., size]. */
  forward(idx: Tensor): Tensor {
    return embedding(idx, this.weight, { dtype: this.dtype });
  }
}

/**
 * Normalizes the last axis to mean 0 and variance 1, then applies weight (1) and bias (0).
 * @example
 * const layer = new nn.LayerNorm(4);
 * console.log(layer.forward(randn([2, 4])).shape); // [ 2, 4 ]
 */
export class LayerNorm extends Module {
  /** [size], 1 at first. */
  readonly weight: Tensor;
  /** [size], 0 at first; null if there is none. */
  readonly bias: Tensor | null;
  /** The number that is added to the variance. */
  readonly eps: number;

  constructor(size: number, options: { eps?: number; bias?: boolean } = {}) {
    super();
    checkOptions("LayerNorm", options, ["eps", "bias"]);
    checkSize("LayerNorm", "size", size);
    this.weight = parameter(ones([size]));
    this.bias = (options.bias ?? true) ? parameter(zeros([size])) : null;
    this.eps = options.eps ?? 1e-5;
  }

  override extraRepr(): string {
    return formatFields({ size: this.weight.size, eps: this.eps, bias: this.bias !== null });
  }

  /** x [..., size], or a residual stream, whose pending addition the same kernel computes. */
  forward(x: Tensor | ResidualStream): Tensor {
    const { weight, bias, eps } = this;
    if (!(x instanceof ResidualStream)) return layerNorm(x, weight, bias, { eps });
    return x.normalize(
      (sum) => layerNorm(sum, weight, bias, { eps }),
      (sum, branch, dropout) => residualLayerNorm(sum, branch, weight, bias, { eps, dropout }),
    );
  }
}

/**
 * Divides the last axis by its root mean square, then applies weight (1).
 * @example
 * const layer = new nn.RMSNorm(4);
 * console.log(layer.forward(randn([2, 4])).shape); // [ 2, 4 ]
 */
export class RMSNorm extends Module {
  /** [size], 1 at first. */
  readonly weight: Tensor;
  /** The number that is added to the mean square. */
  readonly eps: number;

  constructor(size: number, options: { eps?: number } = {}) {
    super();
    checkOptions("RMSNorm", options, ["eps"]);
    checkSize("RMSNorm", "size", size);
    this.weight = parameter(ones([size]));
    this.eps = options.eps ?? 1e-5;
  }

  override extraRepr(): string {
    return formatFields({ size: this.weight.size, eps: this.eps });
  }

  /** x [..., size], or a residual stream, whose pending addition the same kernel computes. */
  forward(x: Tensor | ResidualStream): Tensor {
    const { weight, eps } = this;
    if (!(x instanceof ResidualStream)) return rmsNorm(x, weight, { eps });
    return x.normalize(
      (sum) => rmsNorm(sum, weight, { eps }),
      (sum, branch, dropout) => residualRMSNorm(sum, branch, weight, { eps, dropout }),
    );
  }
}

/**
 * Zeroes each element with probability p while training, and scales the others by 1 / (1 - p).
 * @example
 * const layer = new nn.Dropout(0.1);
 * console.log(layer.eval().forward(ones([2])).toArray()); // [ 1, 1 ]
 */
export class Dropout extends Module {
  /** The probability that an element becomes 0. */
  readonly p: number;

  constructor(p = 0.5) {
    super();
    checkProbability("Dropout", p);
    this.p = p;
  }

  /** x of any shape; returns x itself in eval mode. */
  forward(x: Tensor): Tensor {
    return dropout(x, { p: this.p, training: this.training });
  }
}

/** A module that maps a tensor to one, or a function that does. */
type Layer = (Module & { forward(x: Tensor): Tensor }) | ((x: Tensor) => Tensor);

/**
 * Applies modules, or plain functions of a tensor, one after the other. model.layers[0] has the
 * type of the first one.
 * @example
 * const model = new nn.Sequential(new nn.Linear(4, 8), relu, new nn.Linear(8, 2));
 * console.log(model.forward(randn([3, 4])).shape); // [ 3, 2 ]
 * console.log(model.layers[2].weight.shape); // [ 2, 8 ]
 */
export class Sequential<L extends readonly Layer[] = readonly Layer[]> extends Module {
  /** The modules and functions, in order. */
  readonly layers: L;

  constructor(...layers: L) {
    super();
    for (const [i, layer] of layers.entries()) {
      if (!(layer instanceof Module || typeof layer === "function"))
        fail(`Sequential: layer ${i} is ${describe(layer)}, expected a module or a function`);
    }
    this.layers = layers;
  }

  /** Returns the result of the last layer. */
  forward(x: Tensor): Tensor {
    const apply = (y: Tensor, f: Layer) => (typeof f === "function" ? f(y) : f.forward(y));
    return this.layers.reduce(apply, x);
  }
}
