// Reads and writes the config.json of a GPT-2 in the format of Hugging Face transformers.

import { join } from "node:path";
import { fail, quote } from "../errors.ts";
import { MAX_TABLE_BYTES, readJSONObject } from "../files/json.ts";
import type { GPTConfig } from "./config.ts";

/** A file is invalid or describes a model that GPT cannot represent. The message names the file. */
export class HuggingFaceError extends Error {
  /** The name of the class. */
  override name = "HuggingFaceError";
}

/** Activations by their names in config.json. The first name of an activation is written. */
const activationNames: Record<string, GPTConfig["activation"]> = {
  gelu_new: "gelu-tanh",
  gelu_pytorch_tanh: "gelu-tanh",
  gelu: "gelu",
  relu: "relu",
  relu2: "relu2",
  silu: "silu",
  swish: "silu",
  tanh: "tanh",
};

/** The defaults of transformers for sizes that are missing from config.json. */
const defaultSizes = { vocab_size: 50257, n_positions: 1024, n_embd: 768, n_layer: 12, n_head: 12 };

/** The options of a GPT that a GPT-2 may choose; all others are fixed. */
export type HFOptions = Pick<
  GPTConfig,
  "vocabSize" | "blockSize" | "nLayer" | "nHead" | "nEmbd" | "activation" | "tieWeights"
>;

/**
 * Reads the config.json in a folder. Throws a HuggingFaceError if GPT cannot represent the model.
 */
export function readHFConfig(folder: string): HFOptions {
  const file = join(folder, "config.json");
  const config = readJSON(file);
  const expect = (field: string, value: unknown, expected: unknown) => {
    if (value !== expected)
      throw invalid(file, `${field} is ${quote(value)}, expected ${expected}`);
  };
  expect("model_type", config.model_type, "gpt2");
  const size = (field: keyof typeof defaultSizes): number => {
    const n = config[field] ?? defaultSizes[field];
    if (Number.isSafeInteger(n) && (n as number) > 0) return n as number;
    throw invalid(file, `${field} is ${quote(n)}, expected a whole number from 1 up`);
  };
  const nEmbd = size("n_embd");
  const nHead = size("n_head");
  expect("n_embd modulo n_head", nEmbd % nHead, 0);
  expect("n_inner", config.n_inner ?? 4 * nEmbd, 4 * nEmbd);
  expect("layer_norm_epsilon", config.layer_norm_epsilon ?? 1e-5, 1e-5);
  expect("scale_attn_weights", config.scale_attn_weights ?? true, true);
  expect("scale_attn_by_inverse_layer_idx", config.scale_attn_by_inverse_layer_idx ?? false, false);
  const activation = config.activation_function ?? "gelu_new";
  if (typeof activation !== "string" || !Object.hasOwn(activationNames, activation))
    expect("activation_function", activation, Object.keys(activationNames).join(", "));
  const tieWeights = config.tie_word_embeddings ?? true;
  if (typeof tieWeights !== "boolean") expect("tie_word_embeddings", tieWeights, "true or false");
  return {
    vocabSize: size("vocab_size"),
    blockSize: size("n_positions"),
    nLayer: size("n_layer"),
    nHead,
    nEmbd,
    activation: activationNames[activation as string],
    tieWeights: tieWeights as boolean,
  };
}

/** Returns the contents of config.json for a GPT. Throws if GPT-2 cannot represent it. */
export function toHFConfig(config: GPTConfig, endOfText: number | null) {
  const { activation, positions, norm, qkNorm, tokenShift, logitSoftcap } = config;
  if (positions !== "learned") fail(`saveGPT2: positions is ${positions}, but GPT-2's are learned`);
  if (norm !== "layer") fail(`saveGPT2: norm is ${norm}, but GPT-2's is layer`);
  if (qkNorm) fail("saveGPT2: qkNorm is true, but GPT-2 has no norm of queries and keys");
  if (tokenShift) fail("saveGPT2: tokenShift is true, but GPT-2 has no token shift");
  const sizes = { nKvHead: config.nHead, headDim: config.nEmbd / config.nHead };
  const fixed = { ...sizes, mlpWidth: 4 * config.nEmbd, normEps: 1e-5 };
  for (const [name, expected] of Object.entries(fixed)) {
    const value = config[name as keyof typeof fixed];
    // swiglu, whose MLP has another width, is rejected below by its name
    if (value !== expected && activation !== "swiglu")
      fail(`saveGPT2: ${name} is ${value}, expected ${expected}`);
  }
  if (logitSoftcap > 0)
    fail(`saveGPT2: logitSoftcap is ${logitSoftcap}, but GPT-2's logits have no cap`);
  const names = Object.keys(activationNames);
  const activationName = names.find((name) => activationNames[name] === activation);
  return {
    model_type: "gpt2",
    architectures: ["GPT2LMHeadModel"],
    activation_function: activationName ?? fail(`saveGPT2: GPT-2 has no activation ${activation}`),
    vocab_size: config.vocabSize,
    n_positions: config.blockSize,
    n_embd: config.nEmbd,
    n_layer: config.nLayer,
    n_head: config.nHead,
    n_inner: null,
    layer_norm_epsilon: 1e-5,
    initializer_range: 0.02,
    attn_pdrop: config.dropout,
    resid_pdrop: config.dropout,
    embd_pdrop: config.embeddingDropout ? config.dropout : 0,
    scale_attn_weights: true,
    tie_word_embeddings: config.tieWeights,
    bos_token_id: endOfText,
    eos_token_id: endOfText,
    torch_dtype: "float32",
  };
}

/** Reads a JSON object from a file. Throws a HuggingFaceError. */
export function readJSON(file: string): Record<string, unknown> {
  try {
    return readJSONObject(file, MAX_TABLE_BYTES);
  } catch (cause) {
    throw new HuggingFaceError((cause as Error).message, { cause }); // begins with the file's path
  }
}

/** Creates the error for a problem with a file. */
export function invalid(file: string, problem: string): HuggingFaceError {
  return new HuggingFaceError(`${file}: ${problem}`);
}
