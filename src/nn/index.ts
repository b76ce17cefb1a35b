// The namespace nn.

export {
  ELU,
  Flatten,
  GELU,
  Identity,
  LeakyReLU,
  ReLU,
  Sigmoid,
  SiLU,
  Softmax,
  Softplus,
  Tanh,
} from "./activations.ts";
export { type AttentionOptions, MultiHeadAttention, type Past } from "./attention.ts";
export { BatchNorm1d, type BatchNormOptions } from "./batch-norm.ts";
export {
  type BlockOptions,
  DecoderBlock,
  EncoderBlock,
  MLP,
  makeNorm,
  type Norm,
} from "./blocks.ts";
export { ModuleList, Parameter } from "./containers.ts";
export { Conv1d, Conv2d, MaxPool2d } from "./convolution.ts";
/** Functions that initialize parameters in place. */
export * as init from "./init.ts";
export {
  Dropout,
  Embedding,
  type Init,
  LayerNorm,
  Linear,
  RMSNorm,
  Sequential,
} from "./layers.ts";
export {
  adapt,
  adapterState,
  freeze,
  LoRALinear,
  type LoRAOptions,
  mergeAdapters,
} from "./lora.ts";
export { inEvalMode, Module, type StateDict } from "./module.ts";
export { rotaryTable, sinusoidalTable } from "./positions.ts";
export { QuantizedEmbedding, QuantizedLinear } from "./quantized.ts";
export type { RecurrentOptions } from "./recurrent.ts";
export { ResidualStream } from "./residual.ts";
export { GRU, LSTM, RNN } from "./rnn.ts";
export { TokenShift } from "./token-shift.ts";
