// The public API that is the same in Node (index.ts) and in browsers (browser.ts).

import "./methods.ts";

export { noGrad, record } from "./autograd.ts";
export {
  type Device,
  type DeviceName,
  type DType,
  type MatmulPrecision,
  OutOfMemoryError,
} from "./backend/device.ts";
export {
  device,
  devices,
  getFloat32MatmulPrecision,
  setDefaultDevice,
  setFloat32MatmulPrecision,
} from "./backend/devices.ts";
export {
  DataLoader,
  type DataLoaderOptions,
  type Dataset,
  TensorDataset,
} from "./data/loader.ts";
export { BigramLanguageModel } from "./gpt/bigram.ts";
export type { GPTConfig, GPTOptions } from "./gpt/config.ts";
export {
  EncoderDecoder,
  type EncoderDecoderConfig,
  type EncoderDecoderOptions,
} from "./gpt/encoder-decoder.ts";
export { type Generation, generate } from "./gpt/generate.ts";
export type { ForwardResult, LanguageModel } from "./gpt/language-model.ts";
export { GPT } from "./gpt/model.ts";
export { presets } from "./gpt/presets.ts";
export { quantize } from "./gpt/quantize.ts";
/** Layers, transformer blocks and adapters, built on Module. */
export * as nn from "./nn/index.ts";
export {
  elu,
  erf,
  gelu,
  leakyRelu,
  relu,
  relu2,
  sigmoid,
  silu,
  softcap,
  softplus,
  tanh,
} from "./ops/activations.ts";
export { attention, selfAttention } from "./ops/attention.ts";
export {
  type Bounds,
  clamp,
  eq,
  ge,
  gt,
  le,
  lt,
  maximum,
  minimum,
  ne,
} from "./ops/comparison.ts";
export {
  type ConvolutionOptions,
  conv1d,
  conv2d,
  maxPool2d,
  type Pair,
} from "./ops/convolution.ts";
export {
  arange,
  full,
  fullLike,
  linspace,
  ones,
  onesLike,
  tensor,
  zeros,
  zerosLike,
} from "./ops/creation.ts";
export { bmm, dot, einsum, outer } from "./ops/einsum.ts";
export {
  abs,
  add,
  cos,
  div,
  exp,
  log,
  mul,
  neg,
  pow,
  sin,
  sqrt,
  sub,
} from "./ops/elementwise.ts";
export { checkGradient, type GradientCheck } from "./ops/gradcheck.ts";
export { toDot } from "./ops/graphviz.ts";
export { gather, indexSelect, oneHot, scatter, scatterAdd } from "./ops/indexing.ts";
export { linear, mlp, swiglu } from "./ops/linear.ts";
export { crossEntropy, linearCrossEntropy } from "./ops/loss.ts";
export {
  type BinaryCrossEntropyOptions,
  binaryCrossEntropyWithLogits,
  type CrossEntropyOptions,
  type KlDivOptions,
  klDiv,
  type LossOptions,
  type LossReduction,
  l1Loss,
  mseLoss,
  type NllOptions,
  nllLoss,
} from "./ops/losses.ts";
export { matmul } from "./ops/matmul.ts";
export { diag, eye, tril, triu } from "./ops/matrices.ts";
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
  layerNorm,
  residualLayerNorm,
  residualRMSNorm,
  rmsNorm,
} from "./ops/normalization.ts";
export { allclose, isfinite, isinf, isnan } from "./ops/predicates.ts";
export {
  dequantize,
  embeddingQuantized,
  linearQuantized,
  type QuantizedMatrix,
  quantizeMatrix,
} from "./ops/quantized.ts";
export {
  dropout,
  multinomial,
  rand,
  randint,
  randLike,
  randn,
  randnLike,
  randperm,
} from "./ops/random.ts";
export {
  all,
  any,
  argmax,
  argmin,
  max,
  mean,
  min,
  std,
  sum,
  variance as var,
} from "./ops/reductions.ts";
export { qkNorm, rotary } from "./ops/rotary.ts";
export { ceil, floor, remainder, round, sign } from "./ops/rounding.ts";
export { cumsum, logsumexp, type NormOptions, norm, prod } from "./ops/scans.ts";
export { maskedFill, where } from "./ops/selection.ts";
export { logSoftmax, softmax } from "./ops/softmax.ts";
export { argsort, type Sorted, sort, topk } from "./ops/sorting.ts";
export {
  chunk,
  clone,
  expand,
  flatten,
  flip,
  repeat,
  roll,
  select,
  squeeze,
  unbind,
  unsqueeze,
  view,
} from "./ops/views.ts";
/** Optimizers, gradient clipping and the learning-rate schedule. */
export * as optim from "./optim/index.ts";
export { manualSeed } from "./random.ts";
export { keep, scope } from "./scope.ts";
export type { ArrayOfRank, NestedNumbers } from "./tensor/nested.ts";
export { type Backward, Tensor } from "./tensor/tensor.ts";
export { BPETokenizer } from "./tokenizers/bpe/bpe.ts";
export { CharTokenizer } from "./tokenizers/char.ts";
export { tokenizerFromJSON } from "./tokenizers/registry.ts";
export {
  type Decoder,
  decodeStream,
  type Tokenizer,
  TokenizerError,
} from "./tokenizers/tokenizer.ts";
export { WordTokenizer } from "./tokenizers/word.ts";
export { DivergedError } from "./train/divergence.ts";
