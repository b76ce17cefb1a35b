// Reads and writes GPT-2 in the format of Hugging Face transformers: a folder with config.json and
// model.safetensors. Its linear layers are Conv1D, whose weights [in, out] are transposed here.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { noGrad } from "../autograd.ts";
import { fail } from "../errors.ts";
import { loadSafetensors, saveSafetensors, type TensorDict } from "../files/safetensors.ts";
import { zeros } from "../ops/creation.ts";
import { transpose } from "../ops/movement.ts";
import { scope } from "../scope.ts";
import { type Shape, same, show } from "../shape.ts";
import type { GPTConfig, GPTOptions } from "./config.ts";
import { GPT } from "./model.ts";
import { isQuantized } from "./quantize.ts";

/** A file is not valid, or describes a model that GPT cannot represent. The message names it. */
export class GPT2Error extends Error {
  override name = "GPT2Error";
}

/** Activations by their names in config.json; of two names for one, the first is written. */
const activationNames: Record<string, GPTConfig["activation"]> = {
  gelu_new: "gelu-tanh",
  gelu_pytorch_tanh: "gelu-tanh",
  gelu: "gelu",
  relu: "relu",
  silu: "silu",
  swish: "silu",
  tanh: "tanh",
};

/** The defaults of transformers for sizes that config.json does not have. */
const defaultSizes = { vocab_size: 50257, n_positions: 1024, n_embd: 768, n_layer: 12, n_head: 12 };

/**
 * Loads the GPT-2 in a folder onto the default device: config.json, and model.safetensors or the
 * shards that model.safetensors.index.json lists, in f32, f16 or bf16. Names may begin with
 * `transformer.`; mask buffers and a tied head are ignored; dropout is 0. Throws a GPT2Error or a
 * SafetensorsError that names the file, before it allocates the model.
 */
export async function loadGPT2(folder: string): Promise<GPT> {
  return readGPT2(folder);
}

/** Like loadGPT2(), but synchronous. */
export function readGPT2(folder: string): GPT {
  const options = readConfig(folder);
  const files = findWeightFiles(folder);
  const { dict, source } = readWeights(files, options.tieWeights);
  const expected = getShapes(options, Object.keys(dict).length);
  const missing = [...expected.keys()].filter((name) => !(name in dict));
  const unknown = Object.keys(dict).filter((name) => !expected.has(name));
  if (missing.length > 0) throw invalid(list(files), `${list(missing)} missing`);
  if (unknown.length > 0) throw invalid(source[unknown[0]], `${list(unknown)} unknown`);
  for (const [name, shape] of expected) {
    const x = dict[name];
    if (x.dtype === "i32") throw invalid(source[name], `${name} has dtype i32, expected floats`);
    if (!same(x.shape, shape)) {
      const expectedShape = `expected ${show(shape)} by config.json`;
      throw invalid(source[name], `${name} has shape ${show(x.shape)}, ${expectedShape}`);
    }
  }
  const model = new GPT(options, { initWeights: false });
  for (const [name, w] of model.namedParameters()) {
    scope(() => noGrad(() => w.assign(isConv1D(name) ? transpose(dict[name], 0, 1) : dict[name])));
    dict[name].free("loaded into the model");
  }
  return model;
}

/**
 * Writes a GPT in f32 to a folder that transformers loads. Biases that the model does not have are
 * written as zeros. `endOfText` is the id of the token between texts, if there is one. Throws if
 * GPT-2 cannot represent the model.
 */
export function saveGPT2(
  folder: string,
  model: GPT,
  { endOfText = null }: { endOfText?: number | null } = {},
): void {
  if (isQuantized(model)) fail("saveGPT2: the model is quantized, expected floating-point weights");
  const config = toHFConfig(model.config, endOfText);
  const dict = noGrad(() => toHFWeights(model));
  mkdirSync(folder, { recursive: true });
  saveSafetensors(join(folder, "model.safetensors"), dict, { format: "pt" });
  writeFileSync(join(folder, "config.json"), `${JSON.stringify(config, null, 2)}\n`);
}

/** Returns true if the config.json in a folder is that of transformers, not that of a run. */
export function isGPT2Folder(folder: string): boolean {
  const file = join(folder, "config.json");
  return existsSync(file) && "model_type" in readJSON(file);
}

function toHFWeights(model: GPT): TensorDict {
  const own = new Map(model.namedParameters());
  if (
    own
      .get("lm_head.bias")
      ?.data()
      .some((b) => b !== 0)
  )
    fail("saveGPT2: lm_head.bias has values other than 0, but GPT-2's head has no bias");
  const shapes = getShapes(model.config);
  const extra = [...own.keys()].find((name) => !shapes.has(name) && name !== "lm_head.bias");
  if (extra) fail(`saveGPT2: GPT-2 has no parameter ${extra}`);
  const dict: TensorDict = Object.create(null);
  for (const [name, shape] of shapes) {
    const w = own.get(name) ?? zeros(shape); // a bias that the model does not have
    const fullName = name.startsWith("lm_head.") ? name : `transformer.${name}`;
    dict[fullName] = isConv1D(name) ? transpose(w, 0, 1) : w;
  }
  return dict;
}

/** Returns the config.json of transformers. */
function toHFConfig(config: GPTConfig, endOfText: number | null) {
  const { activation, positions, norm, dropout, embeddingDropout } = config;
  if (positions !== "learned") fail(`saveGPT2: positions is ${positions}, but GPT-2's are learned`);
  if (norm !== "layer") fail(`saveGPT2: norm is ${norm}, but GPT-2's is layer`);
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
    attn_pdrop: dropout,
    resid_pdrop: dropout,
    embd_pdrop: embeddingDropout ? dropout : 0,
    scale_attn_weights: true,
    tie_word_embeddings: config.tieWeights,
    bos_token_id: endOfText,
    eos_token_id: endOfText,
    torch_dtype: "float32",
  };
}

function readConfig(folder: string): GPTOptions & { tieWeights: boolean } {
  const file = join(folder, "config.json");
  const config = readJSON(file);
  const expect = (field: string, value: unknown, expected: unknown) => {
    if (value !== expected)
      throw invalid(file, `${field} is ${JSON.stringify(value)}, expected ${expected}`);
  };
  expect("model_type", config.model_type, "gpt2");
  const size = (field: keyof typeof defaultSizes): number => {
    const n = config[field] ?? defaultSizes[field];
    if (Number.isSafeInteger(n) && (n as number) > 0) return n as number;
    throw invalid(file, `${field} is ${JSON.stringify(n)}, expected a whole number from 1 up`);
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

/** Reads all tensors of a model, with their names without `transformer.`, and their files. */
function readWeights(files: string[], tieWeights: boolean) {
  const dict: TensorDict = Object.create(null);
  const source: Record<string, string> = Object.create(null);
  for (const file of files) {
    for (const [fullName, x] of Object.entries(loadSafetensors(file))) {
      const name = fullName.replace(/^transformer\./, "");
      if (name in dict) throw invalid(file, `${name} is there twice`);
      source[name] = file;
      const isMask = /\.attn\.(bias|masked_bias)$/.test(name);
      const isTiedHead = tieWeights && name === "lm_head.weight";
      if (!isMask && !isTiedHead) dict[name] = x;
    }
  }
  return { dict, source };
}

/** Returns the paths of the weight files in a folder: a single file, or all shards. */
export function findWeightFiles(folder: string): string[] {
  const single = join(folder, "model.safetensors");
  if (existsSync(single)) return [single];
  const index = join(folder, "model.safetensors.index.json");
  if (!existsSync(index)) throw invalid(single, "the file does not exist");
  const shards = Object.values(readJSON(index).weight_map ?? {}).map(String);
  if (shards.length === 0 || !shards.every((name) => /^[^/\\]+\.safetensors$/.test(name)))
    throw invalid(index, "weight_map must name files in the same folder");
  return Array.from(new Set(shards), (name) => join(folder, name));
}

/**
 * Returns the shapes in model.safetensors by name, without `transformer.`. `available` is the number
 * of tensors in the files.
 */
function getShapes(config: GPTOptions, available = Infinity): Map<string, Shape> {
  const { vocabSize: V, blockSize: T, nEmbd: C, nLayer } = config;
  const shapes = new Map<string, Shape>([
    ["wte.weight", [V, C]],
    ["wpe.weight", [T, C]],
  ]);
  const layer = (name: string, ...weight: number[]) => {
    shapes.set(`${name}.weight`, weight);
    shapes.set(`${name}.bias`, weight.slice(-1));
  };
  // an invalid config.json may have a huge n_layer: list only one more block than could be there
  for (let i = 0; i < Math.min(nLayer, available + 1); i++) {
    layer(`h.${i}.ln_1`, C);
    layer(`h.${i}.attn.c_attn`, C, 3 * C);
    layer(`h.${i}.attn.c_proj`, C, C);
    layer(`h.${i}.ln_2`, C);
    layer(`h.${i}.mlp.c_fc`, C, 4 * C);
    layer(`h.${i}.mlp.c_proj`, 4 * C, C);
  }
  layer("ln_f", C);
  if (config.tieWeights === false) shapes.set("lm_head.weight", [V, C]);
  return shapes;
}

function isConv1D(name: string): boolean {
  return /\.(c_attn|c_proj|c_fc)\.weight$/.test(name);
}

/** Reads a JSON object from a file. Throws a GPT2Error. */
function readJSON(file: string): Record<string, unknown> {
  try {
    const json: unknown = JSON.parse(readFileSync(file, "utf8"));
    if (typeof json === "object" && json !== null && !Array.isArray(json)) return json as never;
  } catch (cause) {
    throw new GPT2Error(`${file}: ${(cause as Error).message}`, { cause });
  }
  throw invalid(file, "not a JSON object");
}

function invalid(file: string, problem: string): GPT2Error {
  return new GPT2Error(`${file}: ${problem}`);
}

/** Formats the first few of many names. */
function list(names: string[]): string {
  const more = names.length > 4 ? ` and ${names.length - 4} more` : "";
  return names.slice(0, 4).join(", ") + more;
}
