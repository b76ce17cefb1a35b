// GPT-2 as Hugging Face's transformers saves it, read and written: a folder with config.json and
// model.safetensors. Its linear layers are Conv1D, whose matrices are [in, out], ours transposed.

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

/** A file is not what a GPT-2 has, or what we can be. The message names it and what is wrong. */
export class GPT2Error extends Error {
  override name = "GPT2Error";
}

/** Our activations under the names of config.json; of two names the first is written. */
const activationOf: Record<string, GPTConfig["activation"]> = {
  gelu_new: "gelu-tanh",
  gelu_pytorch_tanh: "gelu-tanh",
  gelu: "gelu",
  relu: "relu",
  silu: "silu",
  swish: "silu",
  tanh: "tanh",
};

/** What transformers takes for a size that config.json leaves out. */
const sizes = { vocab_size: 50257, n_positions: 1024, n_embd: 768, n_layer: 12, n_head: 12 };

/**
 * The GPT-2 in a folder, on the default device: config.json, and model.safetensors or the shards
 * that model.safetensors.index.json lists, in f32, f16 or bf16. Names may begin with
 * `transformer.`; mask buffers are left out, and the head where it is tied; dropout is 0. Throws a
 * GPT2Error or a SafetensorsError, which names the file, before memory is asked for the model.
 */
export async function loadGPT2(folder: string): Promise<GPT> {
  return readGPT2(folder);
}

/** loadGPT2() for those who need not wait. */
export function readGPT2(folder: string): GPT {
  const options = readConfig(folder);
  const files = weightFiles(folder);
  const { dict, source } = readWeights(files, options.tieWeights);
  const expected = shapesOf(options, Object.keys(dict).length);
  const missing = [...expected.keys()].filter((name) => !(name in dict));
  const unknown = Object.keys(dict).filter((name) => !expected.has(name));
  if (missing.length > 0) refuse(list(files), `${list(missing)} missing`);
  if (unknown.length > 0) refuse(source[unknown[0]], `${list(unknown)} unknown`);
  for (const [name, shape] of expected) {
    const x = dict[name];
    const wrong = (what: string) => refuse(source[name], `${name} has ${what}`);
    if (x.dtype === "i32") wrong("whole numbers, expected floats");
    if (!same(x.shape, shape))
      wrong(`shape ${show(x.shape)}, expected ${show(shape)} by config.json`);
  }
  const model = new GPT(options, { initWeights: false });
  for (const [name, w] of model.namedParameters()) {
    scope(() => noGrad(() => w.assign(isConv1D(name) ? transpose(dict[name], 0, 1) : dict[name])));
    dict[name].free("loaded into the model");
  }
  return model;
}

/**
 * Writes a GPT as a folder that transformers loads, in f32. Biases that the model does without are
 * written as zeros. `endOfText` is the id of the token between texts, if there is one. Throws where
 * GPT-2 has no place for what the model has.
 */
export function saveGPT2(
  folder: string,
  model: GPT,
  { endOfText = null }: { endOfText?: number | null } = {},
): void {
  if (isQuantized(model)) fail("saveGPT2: the model is quantized, expected weights of floats");
  const config = configOf(model.config, endOfText);
  const dict = noGrad(() => exported(model));
  mkdirSync(folder, { recursive: true });
  saveSafetensors(join(folder, "model.safetensors"), dict, { format: "pt" });
  writeFileSync(join(folder, "config.json"), `${JSON.stringify(config, null, 2)}\n`);
}

/** Does a folder look like a model of transformers, rather than like a run? */
export function isGPT2Folder(folder: string): boolean {
  const file = join(folder, "config.json");
  return existsSync(file) && "model_type" in readJSON(file);
}

function exported(model: GPT): TensorDict {
  const own: TensorDict = Object.create(null);
  for (const [name, w] of model.namedParameters()) own[name] = w;
  const { "lm_head.bias": shift, ...weights } = own;
  if (shift?.data().some((b) => b !== 0))
    fail("saveGPT2: lm_head.bias has values other than 0, and GPT-2's head has no bias");
  const dict: TensorDict = Object.create(null);
  const isHead = (name: string) => name.startsWith("lm_head.");
  for (const [name, shape] of shapesOf(model.config)) {
    const w = weights[name] ?? zeros(shape); // a bias that the model does without
    dict[isHead(name) ? name : `transformer.${name}`] = isConv1D(name) ? transpose(w, 0, 1) : w;
    delete weights[name];
  }
  const [left] = Object.keys(weights);
  if (left) fail(`saveGPT2: GPT-2 has no place for ${left}`);
  return dict;
}

/** config.json as transformers writes it. */
function configOf(config: GPTConfig, endOfText: number | null) {
  const { activation, positions, norm, dropout, embeddingDropout } = config;
  if (positions !== "learned") fail(`saveGPT2: positions is ${positions}, and GPT-2's are learned`);
  if (norm !== "layer") fail(`saveGPT2: norm is ${norm}, and GPT-2's is layer`);
  const named = Object.entries(activationOf).find(([, ours]) => ours === activation);
  return {
    model_type: "gpt2",
    architectures: ["GPT2LMHeadModel"],
    activation_function: named?.[0] ?? fail(`saveGPT2: GPT-2 has no activation ${activation}`),
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
      refuse(file, `${field} is ${JSON.stringify(value)}, expected ${expected}`);
  };
  expect("model_type", config.model_type, "gpt2");
  const size = (field: keyof typeof sizes): number => {
    const n = config[field] ?? sizes[field];
    if (Number.isSafeInteger(n) && (n as number) > 0) return n as number;
    refuse(file, `${field} is ${JSON.stringify(n)}, expected a whole number from 1 up`);
  };
  const [nEmbd, nHead] = [size("n_embd"), size("n_head")];
  expect("n_embd modulo n_head", nEmbd % nHead, 0);
  expect("n_inner", config.n_inner ?? 4 * nEmbd, 4 * nEmbd);
  expect("layer_norm_epsilon", config.layer_norm_epsilon ?? 1e-5, 1e-5);
  expect("scale_attn_weights", config.scale_attn_weights ?? true, true);
  expect("scale_attn_by_inverse_layer_idx", config.scale_attn_by_inverse_layer_idx ?? false, false);
  const activation = config.activation_function ?? "gelu_new";
  if (typeof activation !== "string" || !Object.hasOwn(activationOf, activation))
    expect("activation_function", activation, Object.keys(activationOf).join(", "));
  const tieWeights = config.tie_word_embeddings ?? true;
  if (typeof tieWeights !== "boolean") expect("tie_word_embeddings", tieWeights, "true or false");
  return {
    vocabSize: size("vocab_size"),
    blockSize: size("n_positions"),
    nLayer: size("n_layer"),
    nHead,
    nEmbd,
    activation: activationOf[activation as string],
    tieWeights: tieWeights as boolean,
  };
}

/** All tensors that the model may need, without `transformer.` in their names; and their files. */
function readWeights(files: string[], tieWeights: boolean) {
  const dict: TensorDict = Object.create(null);
  const source: Record<string, string> = Object.create(null);
  for (const file of files)
    for (const [name, x] of Object.entries(loadSafetensors(file))) {
      const own = name.replace(/^transformer\./, "");
      if (own in dict) refuse(file, `${own} is there twice`);
      source[own] = file;
      const isMask = /\.attn\.(bias|masked_bias)$/.test(own);
      if (!isMask && !(tieWeights && own === "lm_head.weight")) dict[own] = x;
    }
  return { dict, source };
}

/** The files in a folder that hold the weights: one, or shards. */
export function weightFiles(folder: string): string[] {
  const names = ["model.safetensors", "model.safetensors.index.json"];
  const [whole, index] = names.map((name) => join(folder, name));
  if (existsSync(whole)) return [whole];
  if (!existsSync(index)) refuse(whole, "there is no such file");
  const shards = Object.values(readJSON(index).weight_map ?? {}).map(String);
  if (shards.length === 0 || !shards.every((name) => /^[^/\\]+\.safetensors$/.test(name)))
    refuse(index, "weight_map names no files beside it");
  return Array.from(new Set(shards), (name) => join(folder, name));
}

/** The names and shapes in model.safetensors, `transformer.` aside; at most so many tensors. */
function shapesOf(config: GPTOptions, most = Infinity): Map<string, Shape> {
  const { vocabSize: V, blockSize: T, nEmbd: C, nLayer } = config;
  const shapes = new Map<string, Shape>([
    ["wte.weight", [V, C]],
    ["wpe.weight", [T, C]],
  ]);
  const layer = (name: string, ...weight: number[]) => {
    shapes.set(`${name}.weight`, weight).set(`${name}.bias`, weight.slice(-1));
  };
  // a config.json may claim a million blocks: one more than there are tensors is enough to tell
  for (let i = 0; i < Math.min(nLayer, most + 1); i++) {
    layer(`h.${i}.ln_1`, C);
    layer(`h.${i}.attn.c_attn`, C, 3 * C);
    layer(`h.${i}.attn.c_proj`, C, C);
    layer(`h.${i}.ln_2`, C);
    layer(`h.${i}.mlp.c_fc`, C, 4 * C);
    layer(`h.${i}.mlp.c_proj`, 4 * C, C);
  }
  layer("ln_f", C);
  return config.tieWeights === false ? shapes.set("lm_head.weight", [V, C]) : shapes;
}

function isConv1D(name: string): boolean {
  return /\.(c_attn|c_proj|c_fc)\.weight$/.test(name);
}

/** The JSON object in a file. Throws a GPT2Error. */
function readJSON(file: string): Record<string, unknown> {
  try {
    const json: unknown = JSON.parse(readFileSync(file, "utf8"));
    if (typeof json === "object" && json !== null && !Array.isArray(json)) return json as never;
  } catch (cause) {
    throw new GPT2Error(`${file}: ${(cause as Error).message}`, { cause });
  }
  refuse(file, "is no JSON object");
}

function refuse(file: string, what: string): never {
  throw new GPT2Error(`${file}: ${what}`);
}

/** The first few of many names. */
function list(names: string[]): string {
  const more = names.length > 4 ? ` and ${names.length - 4} more` : "";
  return names.slice(0, 4).join(", ") + more;
}
