// A GPT in few bits: its linear layers and its token embedding become quantized ones. Positions,
// normalizations and biases, a few hundredths of all numbers, stay as they are.

import { QuantizedEmbedding, QuantizedLinear } from "../nn/index.ts";
import { replaceLinear } from "../nn/lora.ts";
import { constant } from "../nn/module.ts";
import { zeros } from "../ops/creation.ts";
import {
  type Bits,
  type QuantizedMatrix,
  quantizedShapes,
  quantizeMatrix,
} from "../ops/quantized.ts";
import { scope } from "../scope.ts";
import { expectOptions, fail } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import type { LanguageModel } from "./bigram.ts";
import type { GPTOptions } from "./config.ts";
import { GPT } from "./model.ts";

/**
 * A GPT with the weights of another in 8 bits, or in 4, each matrix rounded by itself as
 * quantizeMatrix() says. A head that is tied to the embedding remains so. It is not for training:
 * nothing in it asks for a gradient.
 */
export function quantize(model: GPT, options: { bits: Bits }): GPT {
  expectOptions("quantize", options, ["bits"]);
  const { bits } = options;
  if (!(model instanceof GPT)) fail("quantize: the model is no GPT");
  if (isQuantized(model)) fail("quantize: the model is quantized already");
  return scope(() => {
    const small = quantizedGPT(model.config, bits);
    const dict = model.stateDict();
    for (const name of Object.keys(small.stateDict()).filter((each) => each.endsWith(".scale"))) {
      const own = name.replace(/scale$/, "weight");
      const { weight, scale } = quantizeMatrix(dict[own], { bits });
      Object.assign(dict, { [own]: weight, [name]: scale });
    }
    small.to(model.wte.weight.device).to(model.dtype).train(model.training);
    small.loadStateDict(dict);
    return small;
  });
}

/** Has a model weights of a few bits? */
export function isQuantized(model: LanguageModel): boolean {
  return model instanceof GPT && model.lm_head instanceof QuantizedLinear;
}

/** A GPT of quantized layers, all 0, that waits for loadStateDict(). */
export function quantizedGPT(options: GPTOptions, bits: Bits): GPT {
  const model = new GPT(options, { drawWeights: false, init: shapeAlone });
  const matrices = new Map<Tensor, QuantizedMatrix>(); // one where two layers share a weight
  const matrixLike = (w: Tensor) => {
    const matrix = matrices.get(w) ?? emptyMatrix(w, bits);
    matrices.set(w, matrix);
    return matrix;
  };
  replaceLinear(model, ({ weight, bias }) => new QuantizedLinear(matrixLike(weight), bias));
  Object.assign(model, { wte: new QuantizedEmbedding(matrixLike(model.wte.weight)) });
  for (const each of model.parameters()) constant(each);
  return model;
}

/** A matrix without memory, so that there is never a whole model of floats; a bias is 0. */
function shapeAlone(shape: number[]): Tensor {
  const x = zeros(shape);
  if (shape.length < 2) return x;
  x.storage.end();
  x.device.pool.trim();
  return x;
}

function emptyMatrix({ shape, device }: Tensor, bits: Bits): QuantizedMatrix {
  const shapes = quantizedShapes(shape, bits);
  const weight = zeros(shapes.weight, { dtype: "i32", device });
  const scale = zeros(shapes.scale, { device });
  return { weight, scale, columns: shape[1], bits };
}
