// Quantizes a GPT: its linear layers and its token embedding are replaced by quantized ones.
// Position embeddings, normalizations and biases, a few percent of all parameters, stay in floating
// point.

import type { DType } from "../backend/device.ts";
import { defaultDevice } from "../backend/devices.ts";
import { checkOptions, describe, fail } from "../errors.ts";
import { type Embedding, QuantizedEmbedding, QuantizedLinear } from "../nn/index.ts";
import { replaceLinear } from "../nn/lora.ts";
import { buffer, type StateDict } from "../nn/module.ts";
import { zeros } from "../ops/creation.ts";
import {
  type Bits,
  type QuantizedMatrix,
  quantizedShapes,
  quantizeMatrix,
} from "../ops/quantized.ts";
import { scope } from "../scope.ts";
import { isSameShape, type Shape } from "../shape.ts";
import { Tensor } from "../tensor/tensor.ts";
import type { GPTOptions } from "./config.ts";
import type { LanguageModel } from "./language-model.ts";
import { GPT } from "./model.ts";

/**
 * Returns a copy of a GPT whose weights have 8 or 4 bits. quantizeMatrix() quantizes each matrix
 * separately. A tied head stays tied. The result cannot be trained: none of its parameters requires
 * a gradient.
 * @example
 * const model = new GPT({ vocabSize: 64, blockSize: 16, nLayer: 1, nHead: 2, nEmbd: 64 });
 * const quantized = quantize(model, { bits: 8 });
 */
export function quantize(model: GPT, options: { bits: Bits }): GPT {
  checkOptions("quantize", options, ["bits"]);
  const { bits } = options;
  if (!(model instanceof GPT)) fail(`quantize: model is ${describe(model)}, expected a GPT`);
  if (isQuantized(model)) fail("quantize: the model is quantized already");
  return scope(() => {
    const quantized = quantizedGPT(model.config, bits);
    const dict = model.stateDict();
    const scales = Object.keys(quantized.stateDict()).filter((name) => name.endsWith(".scale"));
    for (const scaleName of scales) {
      const weightName = scaleName.replace(/scale$/, "weight");
      const { weight, scale } = quantizeMatrix(dict[weightName], { bits });
      dict[weightName] = weight;
      dict[scaleName] = scale;
    }
    quantized.to(model.wte.weight.device).to(model.dtype).train(model.training);
    quantized.loadStateDict(dict);
    return quantized;
  });
}

/** Returns true for a quantized model. */
export function isQuantized(model: LanguageModel): boolean {
  return model instanceof GPT && model.lm_head instanceof QuantizedLinear;
}

/**
 * Builds a GPT with quantized layers, whose weights are loaded afterwards. It uses the quantized
 * matrices in `dict` without copying them, so they are never in memory twice; all other weights are
 * 0.
 */
export function quantizedGPT(options: GPTOptions, bits: Bits, dict: StateDict = {}): GPT {
  const model = new GPT(options, { initWeights: false, init: withoutMemory });
  const names = new Map([...model.namedParameters()].map(([name, w]) => [w, name]));
  const matrices = new Map<Tensor, QuantizedMatrix>(); // layers that share a weight share a matrix
  const getMatrix = (w: Tensor) => {
    const matrix = matrices.get(w) ?? findMatrix(dict, names.get(w) as string, w, bits);
    matrices.set(w, matrix);
    return matrix;
  };
  replaceLinear(model, ({ weight, bias }) => new QuantizedLinear(getMatrix(weight), bias));
  const holder: { wte: Embedding } = model; // wte is readonly
  holder.wte = new QuantizedEmbedding(getMatrix(model.wte.weight));
  for (const tensor of [...model.parameters()]) buffer(tensor);
  return model;
}

/** Creates a matrix without memory, which is replaced before it is used. */
function withoutMemory(shape: number[]): Tensor {
  return shape.length < 2 ? zeros(shape) : new Tensor(defaultDevice().empty("f32", 0), shape);
}

/** Finds a quantized matrix in a state dict. Parts that are missing or have other shapes are 0. */
function findMatrix(dict: StateDict, name: string, w: Tensor, bits: Bits): QuantizedMatrix {
  const shapes = quantizedShapes(w.shape, bits);
  const find = (key: string, shape: Shape, dtype: DType) => {
    const x = dict[key];
    return x?.dtype === dtype && isSameShape(x.shape, shape) ? x : zeros(shape, { dtype });
  };
  return {
    weight: find(name, shapes.weight, "i32"),
    scale: find(name.replace(/weight$/, "scale"), shapes.scale, "f32"),
    columns: w.shape[1],
    bits,
  };
}
