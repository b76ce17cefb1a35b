// Reads and writes Llama, Qwen2, Qwen3 and Mistral models in the format of Hugging Face
// transformers. Their weights have the layout of GPT's: rotary() rotates halves of a head, as they
// do. GPT holds queries, keys and values in one matrix, and the gate and the values of an MLP.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { noGrad } from "../autograd.ts";
import { fail } from "../errors.ts";
import { createFolder } from "../files/folder.ts";
import { saveSafetensors, type TensorDict } from "../files/safetensors.ts";
import { compose } from "../ops/compose.ts";
import { cat, slice } from "../ops/movement.ts";
import type { Shape } from "../shape.ts";
import type { GPTConfig } from "./config.ts";
import { findLlamaType, readLlamaConfig, toLlamaConfig } from "./hf-llama-config.ts";
import { findWeightFiles, readWeights } from "./hf-weights.ts";
import { GPT } from "./model.ts";
import { isQuantized } from "./quantize.ts";
import { gptShapes } from "./shapes.ts";

/** Loads the model in a folder; see loadHuggingFace(). `blockSize` shortens the context. */
export function readLlama(folder: string, blockSize?: number): GPT {
  const config = readLlamaConfig(folder);
  const dict = readWeights(
    findWeightFiles(folder),
    (name) => toFileName(name, config.tieWeights),
    (maxBlocks) => toFileShapes(config, maxBlocks),
  );
  const context = Math.min(blockSize ?? Infinity, config.blockSize);
  const model = new GPT({ ...config, blockSize: context }, { initWeights: false });
  for (const [name, w] of model.namedParameters()) {
    const parts = splitName(name, config).map((part) => dict[part.name]);
    compose(() => w.assign(parts.length === 1 ? parts[0] : cat(parts)));
    for (const part of parts) part.free("loaded into the model");
  }
  return model;
}

/**
 * Writes a GPT in f32 to a folder that transformers can load: as LlamaForCausalLM, as
 * Qwen2ForCausalLM if only queries, keys and values have biases, or as Qwen3ForCausalLM if queries
 * and keys are normalized with weights. `endOfText` is the id of the token between texts, if there
 * is one. Throws unless the model has rotary positions, rms norms and swiglu.
 * @example
 * const sizes = { vocabSize: 65, blockSize: 16, nLayer: 1, nHead: 2, nEmbd: 8 };
 * const options = { bias: false, positions: "rotary", norm: "rms", activation: "swiglu" };
 * saveLlama("saved", new GPT({ ...sizes, ...options }));
 */
export function saveLlama(
  folder: string,
  model: GPT,
  { endOfText = null }: { endOfText?: number | null } = {},
): void {
  if (isQuantized(model))
    fail("saveLlama: the model is quantized, expected floating-point weights");
  const type = findLlamaType("saveLlama", model.config);
  const config = toLlamaConfig(model.config, type, endOfText);
  const dict: TensorDict = Object.create(null);
  noGrad(() => {
    for (const [name, w] of model.namedParameters()) {
      let start = 0;
      for (const part of splitName(name, model.config)) {
        const end = start + (part.rows ?? w.shape[0]);
        dict[part.name] = slice(w, { dim: 0, start, end });
        start = end;
      }
    }
  });
  createFolder(folder);
  saveSafetensors(join(folder, "model.safetensors"), dict, { format: "pt" });
  writeFileSync(join(folder, "config.json"), `${JSON.stringify(config, null, 2)}\n`);
}

/** The names in transformers of modules outside of the blocks, and of those of a block. */
const moduleNames: Record<string, string> = {
  wte: "model.embed_tokens",
  ln_f: "model.norm",
  lm_head: "lm_head",
  ln_1: "input_layernorm",
  ln_2: "post_attention_layernorm",
  "attn.c_proj": "self_attn.o_proj",
  "attn.q_norm": "self_attn.q_norm",
  "attn.k_norm": "self_attn.k_norm",
  "mlp.c_proj": "mlp.down_proj",
};

/** A tensor in a file; of a matrix that is one of several, `rows` is the number of its rows. */
interface FilePart {
  name: string;
  rows?: number;
}

/** Returns the tensors in a file that a parameter of GPT consists of, one below the other. */
function splitName(name: string, config: GPTConfig): FilePart[] {
  const [, block, module, field] = /^(?:h\.(\d+)\.)?(.+)\.(weight|bias)$/.exec(name) ?? [];
  const prefix = block === undefined ? "" : `model.layers.${block}.`;
  const part = (layer: string, rows?: number) => ({ name: `${prefix}${layer}.${field}`, rows });
  const { nHead, nKvHead, headDim, mlpWidth } = config;
  if (module === "attn.c_attn")
    return [
      part("self_attn.q_proj", nHead * headDim),
      part("self_attn.k_proj", nKvHead * headDim),
      part("self_attn.v_proj", nKvHead * headDim),
    ];
  if (module === "mlp.c_fc")
    return [part("mlp.gate_proj", mlpWidth), part("mlp.up_proj", mlpWidth)];
  return [part(moduleNames[module])];
}

/** Returns the shapes of the tensors in the files by name. */
function toFileShapes(config: GPTConfig, maxBlocks: number): Map<string, Shape> {
  const shapes = new Map<string, Shape>();
  for (const [name, shape] of gptShapes(config, maxBlocks)) {
    for (const part of splitName(name, config))
      shapes.set(part.name, [part.rows ?? shape[0], ...shape.slice(1)]);
  }
  return shapes;
}

/**
 * Returns a tensor's full name; null for a tied head, and for the frequencies of rotary positions
 * in old files, which are not loaded.
 */
function toFileName(name: string, tieWeights: boolean): string | null {
  if (name.endsWith(".rotary_emb.inv_freq")) return null;
  if (name === "lm_head.weight") return tieWeights ? null : name;
  return name.startsWith("model.") ? name : `model.${name}`;
}
