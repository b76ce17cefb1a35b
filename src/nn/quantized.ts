// Layers whose weights have few bits. They stand in the place of Linear and Embedding in a model
// that has been trained; what they hold is saved and moved with it, and not trained.

import type { Activation } from "../ops/linear.ts";
import { crossEntropy } from "../ops/loss.ts";
import {
  type Bits,
  embeddingQuantized,
  linearQuantized,
  type QuantizedMatrix,
} from "../ops/quantized.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { constant, Module } from "./module.ts";

/** A matrix that a module holds. */
abstract class Quantized extends Module implements QuantizedMatrix {
  readonly weight: Tensor;
  readonly scale: Tensor;
  readonly columns: number;
  readonly bits: Bits;

  constructor({ weight, scale, columns, bits }: QuantizedMatrix) {
    super();
    this.weight = constant(weight);
    this.scale = constant(scale);
    this.columns = columns;
    this.bits = bits;
  }
}

/**
 * y = x W^T + b.  W [out, in]
 * @example
 * const layer = new nn.QuantizedLinear(quantizeMatrix(randn([64, 64]), { bits: 8 }));
 * console.log(layer.forward(randn([2, 64])).shape); // [ 2, 64 ]
 */
export class QuantizedLinear extends Quantized {
  readonly bias: Tensor | null;

  constructor(matrix: QuantizedMatrix, bias: Tensor | null = null) {
    super(matrix);
    this.bias = bias && constant(bias);
  }

  /** `activation` is applied to the result, as in Linear. */
  forward(x: Tensor, options: { activation?: Activation } = {}): Tensor {
    return linearQuantized(x, this, this.bias, options);
  }

  /** Returns the cross-entropy of forward(x) with target classes. */
  crossEntropy(x: Tensor, targets: Tensor): Tensor {
    return crossEntropy(this.forward(x), targets);
  }
}

/**
 * y = W[idx].  W [count, size]
 * @example
 * const layer = new nn.QuantizedEmbedding(quantizeMatrix(randn([64, 64]), { bits: 8 }));
 * console.log(layer.forward(tensor([[1, 2]], { dtype: "i32" })).shape); // [ 1, 2, 64 ]
 */
export class QuantizedEmbedding extends Quantized {
  forward(idx: Tensor): Tensor {
    return embeddingQuantized(idx, this, { dtype: this.dtype });
  }
}
