// A GPT in few bits: its linear layers and its token embedding become quantized ones. Positions,
// normalizations and biases, a few hundredths of all numbers, stay as they are.

import type { DType } from "../backend/device.ts";
import { defaultDevice } from "../backend/devices.ts";
import { checkOptions, fail } from "../errors.ts";
import { QuantizedEmbedding, QuantizedLinear } from "../nn/index.ts";
import { replaceLinear } from "../nn/lora.ts";
import { constant, type StateDict } from "../nn/module.ts";
import { zeros } from "../ops/creation.ts";
import {
  type Bits,
  type QuantizedMatrix,
  quantizedShapes,
  quantizeMatrix,
} from "../ops/quantized.ts";
import { scope } from "../scope.ts";
import { type Shape, same } from "../shape.ts";
import { Tensor } from "../tensor/tensor.ts";
import type { GPTOptions } from "./config.ts";
import type { LanguageModel } from "./language-model.ts";
import { GPT } from "./model.ts";

/**
 * A GPT with the weights of another in 8 bits, or in 4, each matrix rounded by itself as
 * quantizeMatrix() says. A head that is tied to the embedding remains so. It is not for training:
 * nothing in it asks for a gradient.
 */
export function quantize(model: GPT, options: { bits: Bits }): GPT {
  checkOptions("quantize", options, ["bits"]);
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

/**
 * A GPT of quantized layers that waits for loadStateDict(). The matrices that `dict` has become its
 * own, so that they are never in memory twice; all else is 0.
 */
export function quantizedGPT(options: GPTOptions, bits: Bits, dict: StateDict = {}): GPT {
  const model = new GPT(options, { initWeights: false, init: shapeAlone });
  const names = new Map([...model.namedParameters()].map(([name, w]) => [w, name]));
  const matrices = new Map<Tensor, QuantizedMatrix>(); // one where two layers share a weight
  const matrixLike = (w: Tensor) => {
    const matrix = matrices.get(w) ?? matrixIn(dict, names.get(w) as string, w, bits);
    matrices.set(w, matrix);
    return matrix;
  };
  replaceLinear(model, ({ weight, bias }) => new QuantizedLinear(matrixLike(weight), bias));
  Object.assign(model, { wte: new QuantizedEmbedding(matrixLike(model.wte.weight)) });
  for (const each of model.parameters()) constant(each);
  return model;
}

/** A matrix without memory: floats that are not needed are not made. A bias is 0. */
function shapeAlone(shape: number[]): Tensor {
  return shape.length < 2 ? zeros(shape) : new Tensor(defaultDevice().empty("f32", 0), shape);
}

/** A quantized w out of a dictionary; what it lacks, or has otherwise, is 0. */
function matrixIn(dict: StateDict, name: string, { shape }: Tensor, bits: Bits): QuantizedMatrix {
  const shapes = quantizedShapes(shape, bits);
  const found = (key: string, wanted: Shape, dtype: DType) => {
    const x = dict[key];
    return x?.dtype === dtype && same(x.shape, wanted) ? x : zeros(wanted, { dtype });
  };
  const weight = found(name, shapes.weight, "i32");
  const scale = found(name.replace(/weight$/, "scale"), shapes.scale, "f32");
  return { weight, scale, columns: shape[1], bits };
}
