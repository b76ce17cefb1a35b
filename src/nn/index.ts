// The namespace nn.

export { Dropout, Embedding, LayerNorm, Linear, Sequential } from "./layers.ts";
export {
  adapt,
  adapterState,
  freeze,
  LoRALinear,
  type LoRAOptions,
  mergeAdapters,
} from "./lora.ts";
export { Module, type StateDict } from "./module.ts";
