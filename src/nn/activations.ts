// Layers without parameters: activation functions and changes of shape, for use in Sequential.

import { elu, gelu, leakyRelu, relu, sigmoid, silu, softplus, tanh } from "../ops/activations.ts";
import { softmax } from "../ops/softmax.ts";
import { flatten } from "../ops/views.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { Module } from "./module.ts";

/**
 * y = x
 * @example
 * console.log(new nn.Identity().forward(tensor([1, 2])).toArray()); // [ 1, 2 ]
 */
export class Identity extends Module {
  /** Returns x itself. */
  forward(x: Tensor): Tensor {
    return x;
  }
}

/**
 * y = relu(x)
 * @example
 * console.log(new nn.ReLU().forward(tensor([-1, 2])).toArray()); // [ 0, 2 ]
 */
export class ReLU extends Module {
  /** relu(x), of any shape. */
  forward(x: Tensor): Tensor {
    return relu(x);
  }
}

/**
 * y = leakyRelu(x, negativeSlope)
 * @example
 * console.log(new nn.LeakyReLU(0.5).forward(tensor([-2, 2])).toArray()); // [ -1, 2 ]
 */
export class LeakyReLU extends Module {
  /** The factor of x where x < 0. */
  readonly negativeSlope: number;

  constructor(negativeSlope = 0.01) {
    super();
    this.negativeSlope = negativeSlope;
  }

  /** leakyRelu(x), of any shape. */
  forward(x: Tensor): Tensor {
    return leakyRelu(x, this.negativeSlope);
  }
}

/**
 * y = elu(x, alpha)
 * @example
 * console.log(new nn.ELU().forward(tensor([0, 2])).toArray()); // [ 0, 2 ]
 */
export class ELU extends Module {
  /** The limit of -y for x to -Infinity. */
  readonly alpha: number;

  constructor(alpha = 1) {
    super();
    this.alpha = alpha;
  }

  /** elu(x), of any shape. */
  forward(x: Tensor): Tensor {
    return elu(x, this.alpha);
  }
}

/**
 * y = gelu(x)
 * @example
 * console.log(new nn.GELU({ approximate: "tanh" }).forward(tensor([0])).toArray()); // [ 0 ]
 */
export class GELU extends Module {
  /** "tanh" for the approximation of GPT-2, otherwise "none". */
  readonly approximate: "none" | "tanh";

  constructor(options: { approximate?: "none" | "tanh" } = {}) {
    super();
    this.approximate = options.approximate ?? "none";
  }

  /** gelu(x), of any shape. */
  forward(x: Tensor): Tensor {
    return gelu(x, { approximate: this.approximate });
  }
}

/**
 * y = silu(x)
 * @example
 * console.log(new nn.SiLU().forward(tensor([0])).toArray()); // [ 0 ]
 */
export class SiLU extends Module {
  /** silu(x), of any shape. */
  forward(x: Tensor): Tensor {
    return silu(x);
  }
}

/**
 * y = tanh(x)
 * @example
 * console.log(new nn.Tanh().forward(tensor([0])).toArray()); // [ 0 ]
 */
export class Tanh extends Module {
  /** tanh(x), of any shape. */
  forward(x: Tensor): Tensor {
    return tanh(x);
  }
}

/**
 * y = sigmoid(x)
 * @example
 * console.log(new nn.Sigmoid().forward(tensor([0])).toArray()); // [ 0.5 ]
 */
export class Sigmoid extends Module {
  /** sigmoid(x), of any shape. */
  forward(x: Tensor): Tensor {
    return sigmoid(x);
  }
}

/**
 * y = softplus(x)
 * @example
 * console.log(new nn.Softplus().forward(tensor([100])).toArray()); // [ 100 ]
 */
export class Softplus extends Module {
  /** softplus(x), of any shape. */
  forward(x: Tensor): Tensor {
    return softplus(x);
  }
}

/**
 * y = softmax(x) along dim (default: the last axis)
 * @example
 * console.log(new nn.Softmax().forward(tensor([[1, 1]])).toArray()); // [ [ 0.5, 0.5 ] ]
 */
export class Softmax extends Module {
  /** The axis along which the results add up to 1. */
  readonly dim: number;

  constructor(options: number | { dim?: number } = {}) {
    super();
    this.dim = typeof options === "number" ? options : (options.dim ?? -1);
  }

  /** softmax(x, { dim }), of any shape. */
  forward(x: Tensor): Tensor {
    return softmax(x, { dim: this.dim });
  }
}

/**
 * Merges the axes from startDim to endDim, by default all but the first.
 * @example
 * console.log(new nn.Flatten().forward(zeros([2, 3, 4])).shape); // [ 2, 12 ]
 */
export class Flatten extends Module {
  /** The first axis that is merged. */
  readonly startDim: number;
  /** The last axis that is merged. */
  readonly endDim: number;

  constructor(startDim = 1, endDim = -1) {
    super();
    this.startDim = startDim;
    this.endDim = endDim;
  }

  /** flatten(x, startDim, endDim). */
  forward(x: Tensor): Tensor {
    return flatten(x, this.startDim, this.endDim);
  }
}
