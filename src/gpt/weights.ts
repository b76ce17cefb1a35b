// Weights from elsewhere: GPT-2 as Hugging Face's transformers saves it.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { transpose } from "../ops/movement.ts";
import { fail } from "../shape.ts";
import { GPT } from "./model.ts";
import { loadSafetensors, type TensorDict } from "./safetensors.ts";

const activationOf: Record<string, "gelu" | "gelu-tanh" | "relu" | "silu" | "tanh"> = {
  gelu_new: "gelu-tanh",
  gelu_pytorch_tanh: "gelu-tanh",
  gelu: "gelu",
  relu: "relu",
  silu: "silu",
  tanh: "tanh",
};

/**
 * The GPT-2 in a folder: config.json and model.safetensors. Names may begin with `transformer.`;
 * the matrices of its Conv1D layers, [in, out] there, are transposed; mask buffers are left out;
 * dropout is 0.
 */
export async function loadGPT2(folder: string): Promise<GPT> {
  const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));
  if (config.model_type !== "gpt2")
    fail(`loadGPT2: ${folder} has model_type ${config.model_type}, expected gpt2`);
  const { activation_function: activation = "gelu_new", layer_norm_epsilon: eps = 1e-5 } = config;
  const inner = config.n_inner ?? 4 * config.n_embd;
  if (inner !== 4 * config.n_embd) fail(`loadGPT2: n_inner is ${inner}, expected 4 n_embd`);
  if (eps !== 1e-5) fail(`loadGPT2: layer_norm_epsilon is ${eps}, expected 1e-5`);
  if (config.scale_attn_by_inverse_layer_idx || config.scale_attn_weights === false)
    fail("loadGPT2: attention is scaled in another way than by 1 / sqrt(D)");
  const tieWeights = config.tie_word_embeddings ?? true;
  const options = {
    vocabSize: config.vocab_size,
    blockSize: config.n_positions ?? config.n_ctx,
    nLayer: config.n_layer,
    nHead: config.n_head,
    nEmbd: config.n_embd,
    activation:
      activationOf[activation] ?? fail(`loadGPT2: activation_function ${activation} is unknown`),
    tieWeights,
  };
  const model = new GPT(options, { drawWeights: false });
  const dict: TensorDict = Object.create(null);
  for (const [name, x] of Object.entries(loadSafetensors(join(folder, "model.safetensors")))) {
    const own = name.replace(/^transformer\./, "");
    const isMask = /\.attn\.(bias|masked_bias)$/.test(own);
    if (isMask || (tieWeights && own === "lm_head.weight")) continue;
    dict[own] = isConv1D(own) ? transpose(x, 0, 1) : x;
  }
  model.loadStateDict(dict);
  return model;
}

function isConv1D(name: string): boolean {
  return /\.(c_attn|c_proj|c_fc)\.weight$/.test(name);
}
