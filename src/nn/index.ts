// The namespace nn.

export { Dropout, Embedding, LayerNorm, Linear, Sequential } from "./layers.ts";
export { Module, type StateDict } from "./module.ts";
