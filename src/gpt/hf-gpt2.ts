// Reads and writes GPT-2 in the format of Hugging Face transformers: a folder with config.json and
// model.safetensors. Its linear layers are Conv1D, whose weights [in, out] are transposed here.

import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { noGrad } from "../autograd.ts";
import { fail } from "../errors.ts";
import { loadSafetensors, saveSafetensors, type TensorDict } from "../files/safetensors.ts";
import { zeros } from "../ops/creation.ts";
import { transpose } from "../ops/movement.ts";
import { scope } from "../scope.ts";
import { formatShape, isSameShape, type Shape } from "../shape.ts";
import type { GPTOptions } from "./config.ts";
import { invalid, readHFConfig, readJSON, toHFConfig } from "./hf-config.ts";
import { GPT } from "./model.ts";
import { isQuantized } from "./quantize.ts";

/**
 * Loads the GPT-2 in a folder onto the default device: config.json, and model.safetensors or the
 * shards that model.safetensors.index.json lists, in f32, f16 or bf16. Names may begin with
 * `transformer.`; mask buffers and a tied head are ignored; dropout is 0. Throws a GPT2Error or a
 * SafetensorsError that names the file, before it allocates the model.
 * @example
 * const model = await loadGPT2("gpt2"); // a folder with config.json and model.safetensors
 * console.log(model.config.nLayer); // 2
 */
export async function loadGPT2(folder: string): Promise<GPT> {
  return readGPT2(folder);
}

/** Like loadGPT2(), but synchronous. */
export function readGPT2(folder: string): GPT {
  const options = readHFConfig(folder);
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
    if (!isSameShape(x.shape, shape)) {
      const expectedShape = `expected ${formatShape(shape)} by config.json`;
      throw invalid(source[name], `${name} has shape ${formatShape(x.shape)}, ${expectedShape}`);
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
 * Writes a GPT in f32 to a folder that transformers can load. Biases that the model does not have
 * are written as zeros. `endOfText` is the id of the token between texts, if there is one. Throws
 * if GPT-2 cannot represent the model.
 * @example
 * const model = new GPT({ vocabSize: 65, blockSize: 16, nLayer: 1, nHead: 2, nEmbd: 8 });
 * saveGPT2("saved", model);
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
  const own = new Map([...model.namedParameters(), ...model.namedBuffers()]);
  const headBias = own.get("lm_head.bias")?.data() ?? [];
  if (headBias.some((b) => b !== 0))
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

/** Reads all tensors of a model, with their names without `transformer.`, and their files. */
function readWeights(files: string[], tieWeights: boolean) {
  const dict: TensorDict = Object.create(null);
  const source: Record<string, string> = Object.create(null);
  for (const file of files) {
    for (const [fullName, x] of Object.entries(loadSafetensors(file))) {
      const name = fullName.replace(/^transformer\./, "");
      if (name in dict) throw invalid(file, `${name} appears twice`);
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
 * Returns the shapes in model.safetensors by name, without `transformer.`. `available` is the
 * number of tensors in the files.
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
  // an invalid config.json may have a huge n_layer: list at most one block more than could exist
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

/** Formats the first few of many names. */
function list(names: string[]): string {
  const more = names.length > 4 ? ` and ${names.length - 4} more` : "";
  return names.slice(0, 4).join(", ") + more;
}
