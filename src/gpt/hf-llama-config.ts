// Reads and writes the config.json of Llama, Qwen2, Qwen3 and Mistral models in the format of
// Hugging Face transformers. A field that would change the results in a way that GPT cannot
// represent is an error.

import { join } from "node:path";
import { fail, quote } from "../errors.ts";
import { configure, type GPTConfig, MAX_BLOCK_SIZE } from "./config.ts";
import { invalid, readJSON } from "./hf-config.ts";

/** Defaults of missing fields by model type, and the class of each in transformers. */
const modelTypes = {
  llama: { architecture: "LlamaForCausalLM", kvHeads: null, headDim: null },
  mistral: { architecture: "MistralForCausalLM", kvHeads: 8, headDim: null },
  qwen2: { architecture: "Qwen2ForCausalLM", kvHeads: 32, headDim: null },
  qwen3: { architecture: "Qwen3ForCausalLM", kvHeads: 32, headDim: 128 },
} as const;

export type LlamaType = keyof typeof modelTypes;

/** The names of the model types. */
export const llamaTypes = Object.keys(modelTypes) as LlamaType[];

/** Llama 3's constants of rope_scaling; only the factor is an option of GPT. */
const llama3Scaling = {
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 8192,
} as const;

type Fields = Record<string, unknown>;

/** Reads the config.json in a folder. Throws a HuggingFaceError that names the field. */
export function readLlamaConfig(folder: string): GPTConfig {
  const file = join(folder, "config.json");
  return parseLlamaConfig(readJSON(file), file);
}

/** Converts the content of a config.json; errors begin with `file`. */
function parseLlamaConfig(fields: Fields, file: string): GPTConfig {
  const reject = (name: string, value: unknown, expected: string): never => {
    throw invalid(file, `${name} is ${quote(value)}, expected ${expected}`);
  };
  const expect = (name: string, allowed: readonly unknown[], value: unknown = fields[name]) => {
    if (!allowed.includes(value ?? undefined))
      reject(name, value, String(allowed.find((choice) => choice !== undefined) ?? "none"));
  };
  const size = (name: string, fallback: number | null = null, max = Number.MAX_SAFE_INTEGER) => {
    const n = fields[name] ?? fallback;
    if (Number.isSafeInteger(n) && (n as number) > 0 && (n as number) <= max) return n as number;
    const limit = max === Number.MAX_SAFE_INTEGER ? "1 up" : `1 to ${max}`;
    return reject(name, n, `a whole number from ${limit}`);
  };
  const flag = (name: string, fallback: boolean): boolean => {
    const value = fields[name] ?? fallback;
    return typeof value === "boolean" ? value : reject(name, value, "true or false");
  };
  const positive = (name: string, value: unknown): number =>
    typeof value === "number" && value > 0 && Number.isFinite(value)
      ? value
      : reject(name, value, "a number above 0");

  const type = fields.model_type;
  if (typeof type !== "string" || !Object.hasOwn(modelTypes, type))
    reject("model_type", type, llamaTypes.join(", "));
  const { architecture, kvHeads, headDim: typeHeadDim } = modelTypes[type as LlamaType];
  const [named = architecture] = [fields.architectures ?? []].flat();
  expect("architectures", [architecture], named);
  expect("hidden_act", ["silu", undefined]);
  for (const name of ["quantization_config", "num_experts", "num_local_experts"])
    expect(name, [undefined]);
  expect("partial_rotary_factor", [undefined, 1]);
  checkWindow(type as LlamaType, fields, expect);
  const nHead = size("num_attention_heads");
  const nEmbd = size("hidden_size");
  const nKvHead = size("num_key_value_heads", kvHeads ?? nHead);
  if (nHead % nKvHead !== 0)
    reject("num_key_value_heads", nKvHead, `a divisor of num_attention_heads, ${nHead}`);
  const headDim = size("head_dim", typeHeadDim ?? nEmbd / nHead);
  if (headDim % 2 !== 0) reject("head_dim", headDim, "an even number");
  const bias = flag("attention_bias", false);
  // with Qwen2's own biases the output projection has none, and its config.json has no such field
  const mlpBias = type === "llama" ? flag("mlp_bias", false) : false;
  if (type !== "qwen2") expect("attention_bias", [mlpBias], bias);
  const rope = parseRope(fields, expect, reject);
  return configure({
    vocabSize: size("vocab_size"),
    blockSize: size("max_position_embeddings", null, MAX_BLOCK_SIZE),
    nLayer: size("num_hidden_layers"),
    nHead,
    nKvHead,
    headDim,
    nEmbd,
    mlpWidth: size("intermediate_size"),
    bias: mlpBias,
    qkvBias: type === "qwen2" || bias,
    tieWeights: flag("tie_word_embeddings", false),
    activation: "swiglu",
    positions: "rotary",
    ropeTheta: positive("rope_theta", rope.theta),
    ropeScaling: positive("rope_scaling factor", rope.scaling),
    norm: "rms",
    normEps: positive("rms_norm_eps", fields.rms_norm_eps ?? 1e-6),
    qkNorm: type === "qwen3",
    qkNormWeight: type === "qwen3",
  });
}

type Expect = (name: string, allowed: readonly unknown[], value?: unknown) => void;
type Reject = (name: string, value: unknown, expected: string) => never;

/** Throws if tokens attend to a sliding window: Mistral's is in use unless it is null. */
function checkWindow(type: LlamaType, fields: Fields, expect: Expect): void {
  expect("use_sliding_window", [false, undefined]);
  const { sliding_window: window = 4096, max_position_embeddings: context } = fields;
  const isInUse = window !== null && !(Number(window) >= Number(context));
  if (type === "mistral" && isInUse) expect("sliding_window", [undefined], window);
  for (const layer of [fields.layer_types ?? []].flat())
    expect("layer_types", ["full_attention"], layer);
}

/** Reads rope_parameters of transformers 5, or rope_theta and rope_scaling of earlier versions. */
function parseRope(fields: Fields, expect: Expect, reject: Reject) {
  const key = fields.rope_parameters ? "rope_parameters" : "rope_scaling";
  const rope = fields[key] ?? {};
  if (typeof rope !== "object" || Array.isArray(rope)) reject(key, rope, "an object");
  const settings = rope as Fields;
  const theta = settings.rope_theta ?? fields.rope_theta ?? 10_000;
  expect(`${key} partial_rotary_factor`, [undefined, 1], settings.partial_rotary_factor);
  expect(`${key} mrope_section`, [undefined], settings.mrope_section);
  const type = settings.rope_type ?? settings.type ?? "default";
  if (type === "default") return { theta, scaling: 1 };
  if (type !== "llama3") reject(`${key} rope_type`, type, "default, llama3");
  for (const [name, value] of Object.entries(llama3Scaling))
    expect(`${key} ${name}`, [value], settings[name]);
  return { theta, scaling: settings.factor };
}

/**
 * Returns the model type whose config.json and weights represent a GPT. Throws if there is none;
 * errors begin with `op`.
 */
export function findLlamaType(op: string, config: GPTConfig): LlamaType {
  const { bias, qkvBias, qkNorm, qkNormWeight } = config;
  for (const [name, value] of Object.entries({
    positions: "rotary",
    norm: "rms",
    activation: "swiglu",
    tokenShift: false,
    logitSoftcap: 0,
    lmHeadBias: false,
  })) {
    const actual = config[name as keyof GPTConfig];
    if (actual !== value) fail(`${op}: ${name} is ${actual}, expected ${value}`);
  }
  if (qkNorm && !qkNormWeight) fail(`${op}: qkNorm has no weights, expected qkNormWeight true`);
  if (qkNorm && (bias || qkvBias)) fail(`${op}: bias is true, expected false with qkNorm`);
  if (bias && !qkvBias) fail(`${op}: qkvBias is false, expected true like bias`);
  if (qkNorm) return "qwen3";
  return qkvBias && !bias ? "qwen2" : "llama";
}

/** Returns the content of config.json for a GPT, in fields that transformers 4 and 5 read. */
export function toLlamaConfig(config: GPTConfig, type: LlamaType, endOfText: number | null) {
  const { ropeTheta, ropeScaling: factor, blockSize } = config;
  return {
    model_type: type,
    architectures: [modelTypes[type].architecture],
    hidden_act: "silu",
    vocab_size: config.vocabSize,
    hidden_size: config.nEmbd,
    intermediate_size: config.mlpWidth,
    num_hidden_layers: config.nLayer,
    num_attention_heads: config.nHead,
    num_key_value_heads: config.nKvHead,
    head_dim: config.headDim,
    max_position_embeddings: blockSize,
    rms_norm_eps: config.normEps,
    rope_theta: ropeTheta,
    rope_scaling: factor === 1 ? null : { rope_type: "llama3", factor, ...llama3Scaling },
    tie_word_embeddings: config.tieWeights,
    ...(type === "qwen2" ? {} : { attention_bias: config.bias }),
    ...(type === "llama" ? { mlp_bias: config.bias } : { use_sliding_window: false }),
    attention_dropout: config.dropout,
    initializer_range: 0.02,
    bos_token_id: endOfText,
    eos_token_id: endOfText,
    torch_dtype: "float32",
  };
}
