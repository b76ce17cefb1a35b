// Loads a model of any supported type in the format of Hugging Face transformers.

import { join } from "node:path";
import { checkCount, checkOptions, fail, quote } from "../errors.ts";
import { invalid, readJSON } from "./hf-config.ts";
import { readGPT2 } from "./hf-gpt2.ts";
import { readLlama } from "./hf-llama.ts";
import { llamaTypes } from "./hf-llama-config.ts";
import type { GPT } from "./model.ts";

/**
 * Loads the model in a folder onto the default device: config.json of a GPT-2, Llama, Mistral,
 * Qwen2 or Qwen3, and model.safetensors or the shards that model.safetensors.index.json lists, in
 * f32, f16 or bf16. `blockSize` shortens the context of models with rotary positions, and with it
 * the memory that generation needs. Throws a HuggingFaceError or a SafetensorsError that names the
 * file, before it allocates the model.
 * @example
 * const model = await loadHuggingFace("gpt2"); // a folder with config.json and model.safetensors
 * console.log(model.config.nLayer); // 2
 */
export async function loadHuggingFace(
  folder: string,
  options: { blockSize?: number } = {},
): Promise<GPT> {
  return readHuggingFace(folder, options);
}

/** Like loadHuggingFace(), but synchronous. */
export function readHuggingFace(folder: string, options: { blockSize?: number } = {}): GPT {
  checkOptions("loadHuggingFace", options, ["blockSize"]);
  const { blockSize } = options;
  if (blockSize !== undefined) checkCount("loadHuggingFace", "blockSize", blockSize);
  const file = join(folder, "config.json");
  const { model_type: type } = readJSON(file);
  if ((llamaTypes as unknown[]).includes(type)) return readLlama(folder, blockSize);
  if (type !== "gpt2")
    throw invalid(file, `model_type is ${quote(type)}, expected gpt2, ${llamaTypes.join(", ")}`);
  if (blockSize === undefined) return readGPT2(folder);
  return fail("loadHuggingFace: blockSize is set, but the positions of a GPT-2 are learned");
}
