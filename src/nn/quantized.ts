// Layers with quantized weights, which replace Linear and Embedding in a trained model. Their
// tensors are buffers: saved and moved with the model, but not trained.

import type { Activation } from "../ops/linear.ts";
import { crossEntropy } from "../ops/loss.ts";
import {
  type Bits,
  checkMatrix,
  embeddingQuantized,
  linearQuantized,
  type QuantizedMatrix,
} from "../ops/quantized.ts";
import { formatFields } from "../printing.ts";
import { checkTensor } from "../tensor/ndarray.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { buffer, Module } from "./module.ts";

/** A module that holds a quantized matrix. */
abstract class Quantized extends Module implements QuantizedMatrix {
  readonly weight: Tensor;
  readonly scale: Tensor;
  readonly columns: number;
  readonly bits: Bits;

  constructor(matrix: QuantizedMatrix) {
    super();
    checkMatrix(new.target.name, matrix);
    const { weight, scale, columns, bits } = matrix;
    this.weight = buffer(weight);
    this.scale = buffer(scale);
    this.columns = columns;
    this.bits = bits;
  }

  override extraRepr(): string {
    const [rows] = this.weight.shape;
    return formatFields({ rows, columns: this.columns, bits: this.bits });
  }
}

/**
 * y = x W^T + b.  W [out, in]
 * @example
 * const layer = new nn.QuantizedLinear(quantizeMatrix(randn([64, 64]), { bits: 8 }));
 * console.log(layer.forward(randn([2, 64])).shape); // [ 2, 64 ]
 */
export class QuantizedLinear extends Quantized {
  /** [out], a buffer; null if there is none. */
  readonly bias: Tensor | null;

  constructor(matrix: QuantizedMatrix, bias: Tensor | null = null) {
    super(matrix);
    if (bias !== null) checkTensor("QuantizedLinear", "bias", bias);
    this.bias = bias && buffer(bias);
  }

  /** `activation` is applied to the result, like in Linear. */
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
  /** idx of i32, any shape, to [..., size]. */
  forward(idx: Tensor): Tensor {
    return embeddingQuantized(idx, this, { dtype: this.dtype });
  }
}
