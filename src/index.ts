// The public API of tinybard in Node. A bundle for browsers has the one in browser.ts instead.

export * from "./common.ts";
export { type Corpus, loadCorpus } from "./data/corpus.ts";
export {
  loadSafetensors,
  SafetensorsError,
  type SafetensorsSource,
  saveSafetensors,
  type TensorDict,
} from "./files/safetensors.ts";
export { HuggingFaceError } from "./gpt/hf-config.ts";
export { loadGPT2, saveGPT2 } from "./gpt/hf-gpt2.ts";
export { saveLlama } from "./gpt/hf-llama.ts";
export { loadHuggingFace } from "./gpt/huggingface.ts";
export { loadGPT2Tokenizer } from "./tokenizers/bpe/gpt2.ts";
export { loadBPE, saveBPE } from "./tokenizers/io.ts";
export type { TrainConfig } from "./train/config.ts";
export { type TrainResult, train } from "./train/loop.ts";
export type { TrainFigures } from "./train/result.ts";
