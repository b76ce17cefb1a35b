// The public surface of tinybard.

import "./fluent.ts";

export {
  type Device,
  type DeviceName,
  type DType,
  device,
  devices,
  OutOfMemoryError,
  setDefaultDevice,
} from "./device.ts";
export { BigramLanguageModel, type LanguageModel } from "./gpt/bigram.ts";
export type { GPTConfig, GPTOptions } from "./gpt/config.ts";
export { type Generation, generate } from "./gpt/generate.ts";
export { GPT } from "./gpt/model.ts";
export { presets } from "./gpt/presets.ts";
export { quantize } from "./gpt/quantize.ts";
export {
  loadSafetensors,
  SafetensorsError,
  saveSafetensors,
  type TensorDict,
} from "./gpt/safetensors.ts";
export {
  EncoderDecoder,
  type EncoderDecoderConfig,
  type EncoderDecoderOptions,
} from "./gpt/transformer.ts";
export { GPT2Error, loadGPT2, saveGPT2 } from "./gpt/weights.ts";
export * as nn from "./nn/index.ts";
export { attention, rotary, selfAttention } from "./ops/attention.ts";
export {
  arange,
  full,
  multinomial,
  ones,
  rand,
  randn,
  tensor,
  tril,
  zeros,
} from "./ops/creation.ts";
export {
  abs,
  add,
  cos,
  div,
  dropout,
  exp,
  gelu,
  log,
  maskedFill,
  mul,
  neg,
  pow,
  relu,
  sigmoid,
  silu,
  sin,
  sqrt,
  sub,
  tanh,
  where,
} from "./ops/elementwise.ts";
export { checkGradient, type GradientCheck, toDot } from "./ops/inspect.ts";
export { linear, mlp, swiglu } from "./ops/linear.ts";
export { matmul } from "./ops/matmul.ts";
export {
  cat,
  embedding,
  permute,
  reshape,
  slice,
  split,
  stack,
  transpose,
} from "./ops/movement.ts";
export {
  dequantize,
  embeddingQuantized,
  linearQuantized,
  type QuantizedMatrix,
  quantizeMatrix,
} from "./ops/quantized.ts";
export { crossEntropy, linearCrossEntropy } from "./ops/rows/loss.ts";
export {
  layerNorm,
  residualLayerNorm,
  residualRMSNorm,
  rmsNorm,
} from "./ops/rows/normalization.ts";
export {
  argmax,
  logSoftmax,
  max,
  mean,
  softmax,
  sum,
  variance as var,
} from "./ops/rows.ts";
export * as optim from "./optim/index.ts";
export { manualSeed } from "./random.ts";
export { keep, scope } from "./scope.ts";
export { noGrad, Tensor } from "./tensor.ts";
export { BPETokenizer } from "./text/bpe.ts";
export { CharTokenizer } from "./text/char.ts";
export { type Corpus, loadCorpus } from "./text/corpus.ts";
export { loadBPE, saveBPE } from "./text/files.ts";
export { loadGPT2Tokenizer } from "./text/gpt2.ts";
export { tokenizerFromJSON } from "./text/kinds.ts";
export { type Decoder, decodeStream, type Tokenizer, TokenizerError } from "./text/tokenizer.ts";
export { WordTokenizer } from "./text/word.ts";
export { type TrainResult, train } from "./train/loop.ts";
export type { TrainConfig } from "./train/options.ts";
export { DivergedError } from "./train/stepper.ts";
