// Reads and writes GPT-2 in the format of Hugging Face transformers: a folder with config.json and
// model.safetensors. Its linear layers are Conv1D, whose weights [in, out] are transposed here.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { noGrad } from "../autograd.ts";
import { fail } from "../errors.ts";
import { createFolder } from "../files/folder.ts";
import { saveSafetensors, type TensorDict } from "../files/safetensors.ts";
import { compose } from "../ops/compose.ts";
import { tensor, zeros } from "../ops/creation.ts";
import { transpose } from "../ops/movement.ts";
import type { Shape } from "../shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { foldHeadBias } from "./head-bias.ts";
import { type HFOptions, readHFConfig, toHFConfig } from "./hf-config.ts";
import { findWeightFiles, readWeights } from "./hf-weights.ts";
import { GPT } from "./model.ts";
import { isQuantized } from "./quantize.ts";
import { gptShapes } from "./shapes.ts";

/**
 * Loads the GPT-2 in a folder onto the default device: config.json, and model.safetensors or the
 * shards that model.safetensors.index.json lists, in f32, f16 or bf16. Names may begin with
 * `transformer.`; mask buffers and a tied head are ignored; dropout is 0. Throws a
 * HuggingFaceError or a SafetensorsError that names the file, before it allocates the model.
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
  const dict = readWeights(
    findWeightFiles(folder),
    (name) => toModelName(name, options.tieWeights),
    (maxBlocks) => toFileShapes(options, maxBlocks),
  );
  const model = new GPT(options, { initWeights: false });
  for (const [name, w] of model.namedParameters()) {
    compose(() => w.assign(isConv1D(name) ? transpose(dict[name], 0, 1) : dict[name]));
    dict[name].free("loaded into the model");
  }
  return model;
}

/**
 * Writes a GPT in f32 to a folder that transformers can load. Biases that the model does not have
 * are written as zeros. A bias of the head, which GPT-2 does not have, is moved into the last
 * normalization if the vocabulary has at most nEmbd + 1 tokens: all logits change by the same
 * number, so the probabilities stay. `endOfText` is the id of the token between texts, if there is
 * one. Throws if GPT-2 cannot represent the model.
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
  createFolder(folder);
  saveSafetensors(join(folder, "model.safetensors"), dict, { format: "pt" });
  writeFileSync(join(folder, "config.json"), `${JSON.stringify(config, null, 2)}\n`);
}

function toHFWeights(model: GPT): TensorDict {
  const own = new Map([...model.namedParameters(), ...model.namedBuffers()]);
  const shapes = toFileShapes(model.config);
  const extra = [...own.keys()].find((name) => !shapes.has(name) && name !== "lm_head.bias");
  if (extra) fail(`saveGPT2: GPT-2 has no parameter ${extra}`);
  const replaced = replaceHeadBias(model);
  const dict: TensorDict = Object.create(null);
  for (const [name, shape] of shapes) {
    const w = replaced.get(name) ?? own.get(name) ?? zeros(shape); // zeros: a missing bias
    const fullName = name.startsWith("lm_head.") ? name : `transformer.${name}`;
    dict[fullName] = isConv1D(name) ? transpose(w, 0, 1) : w;
  }
  return dict;
}

/**
 * Returns the bias of the last normalization that replaces the bias of the model's head, if it has
 * one. Throws if there is none.
 */
function replaceHeadBias(model: GPT): Map<string, Tensor> {
  const own = new Map(model.namedParameters());
  const bias = own.get("lm_head.bias")?.data();
  if (!bias?.some((b) => b !== 0)) return new Map();
  const head = (own.get("lm_head.weight") ?? model.wte.weight).data();
  const beta = own.get("ln_f.bias")?.data() ?? new Float32Array(model.config.nEmbd);
  const folded = foldHeadBias(head, bias, beta);
  if (folded) return new Map([["ln_f.bias", tensor(folded)]]);
  return fail("saveGPT2: lm_head.bias has values other than 0, but GPT-2's head has no bias");
}

/** Returns a tensor's name in the model; null for a mask or a tied head, which are not loaded. */
function toModelName(fullName: string, tieWeights: boolean): string | null {
  const name = fullName.replace(/^transformer\./, "");
  const isMask = /\.attn\.(bias|masked_bias)$/.test(name);
  const isTiedHead = tieWeights && name === "lm_head.weight";
  return isMask || isTiedHead ? null : name;
}

/** Returns the shapes in model.safetensors by name, without `transformer.`. */
function toFileShapes(config: HFOptions, maxBlocks = Infinity): Map<string, Shape> {
  const fixed = {
    bias: true,
    qkvBias: true,
    lmHeadBias: false,
    positions: "learned",
    norm: "layer",
  } as const;
  const shapes = gptShapes({ ...config, ...fixed }, maxBlocks);
  for (const [name, shape] of shapes) {
    if (isConv1D(name)) shapes.set(name, [shape[1], shape[0]]);
  }
  return shapes;
}

function isConv1D(name: string): boolean {
  return /\.(c_attn|c_proj|c_fc)\.weight$/.test(name);
}
