// How a model comes out of the folder of a run again, with its tokenizer.

import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { defaultDevice, device as deviceOf } from "../backend/devices.ts";
import { type Device } from "../backend/device.ts";
import { BigramLanguageModel } from "../gpt/bigram.ts";
import type { LanguageModel } from "../gpt/language-model.ts";
import { GPT } from "../gpt/model.ts";
import { quantizedGPT } from "../gpt/quantize.ts";
import { isGPT2Folder } from "../gpt/hf-gpt2.ts";
import { mergeAdapters, type StateDict } from "../nn/index.ts";
import type { Bits } from "../ops/quantized.ts";
import { manualSeed } from "../random.ts";
import { scope } from "../scope.ts";
import { loadTokenizer } from "../tokenizers/io.ts";
import type { Tokenizer } from "../tokenizers/tokenizer.ts";
import { loadWeights, type RunState, readCheckpoint } from "./checkpoint.ts";
import { importGPT2 } from "./import.ts";
import { initializeFrom, type Pretrained } from "../train/finetune.ts";
import { resolveConfig, type TrainConfig } from "../train/config.ts";
import { UsageError } from "../errors.ts";

/**
 * A trained model and its tokenizer: the checkpoint with the best validation loss, else the last,
 * or in the order that is asked for; adapters are merged.
 */
export function loadRun(
  out: string,
  device: Device = deviceOf("auto"),
  checkpoints: readonly string[] = ["best", "last"],
): Pretrained & { state: RunState } {
  const config = readConfig(out);
  for (const checkpoint of checkpoints.map((name) => join(out, name))) {
    const loaded = scope(() => {
      const read = readCheckpoint(checkpoint);
      if (!read) return null;
      const { state, weights } = read;
      const tokenizer = readTokenizer(out, state);
      const base = baseOf(out, config, state, device);
      const { tensors, metadata } = weights;
      const options = { initWeights: false, bits: bitsOf(checkpoint, metadata), dict: tensors };
      const model = prepare(config, tokenizer.vocabSize, device, base, options);
      loadWeights(checkpoint, model, tensors);
      return { tokenizer, model, state };
    });
    if (!loaded) continue;
    mergeAdapters(loaded.model);
    for (const { pool } of new Set([device, defaultDevice()])) pool.trim(); // the file's copy
    const files = [join(checkpoint, "model.safetensors")];
    return { folder: out, files, config, ...loaded };
  }
  throw new UsageError(`run: ${out} has no checkpoint yet`);
}

/** The file of weights that loadRun() reads; undefined if there is none yet. */
export function findWeightsFile(run: string): string | undefined {
  const files = ["best", "last"].map((name) => join(run, name, "model.safetensors"));
  return files.find((file) => existsSync(file));
}

/** How many bits the weights of a checkpoint have, if they are quantized. */
function bitsOf(checkpoint: string, { bits }: Record<string, string>): Bits | undefined {
  if (bits !== undefined && bits !== "8" && bits !== "4")
    throw new Error(`${checkpoint}: bits is ${bits}, expected 8 or 4`);
  return bits ? (Number(bits) as Bits) : undefined;
}

/** The model in the folder of a run, or of Hugging Face's GPT-2. */
export function loadInitial(folder: string, device: Device): Pretrained {
  return isGPT2Folder(folder) ? importGPT2(folder, device) : loadRun(folder, device);
}

/** What the adapters of a run stand on, if it has some. Throws unless it is as it was. */
export function baseOf(
  out: string,
  { loraRank, initFrom }: TrainConfig,
  state: RunState,
  device: Device,
): Pretrained | null {
  if (loraRank === undefined || initFrom === undefined) return null;
  const base = `${out} holds adapters for the model in ${initFrom}`;
  if (!existsSync(join(initFrom, "config.json")))
    throw new UsageError(`run: ${base}, which is not there any more`);
  const initial = loadInitial(initFrom, device);
  if (weightsSha256(initial) !== state.baseSha256)
    throw new UsageError(`run: ${base}, which has other weights now`);
  return initial;
}

/** The SHA-256 of the files of weights, one after the other. */
export function weightsSha256({ files }: Pretrained): string {
  const hash = createHash("sha256");
  for (const file of files) hash.update(readFileSync(file));
  return hash.digest("hex");
}

/** The model of a run before its first step: built, given the initial weights, frozen, adapted. */
export function prepare(
  config: TrainConfig,
  vocabSize: number,
  device: Device,
  initial: Pretrained | null,
  options: Building = {},
): LanguageModel {
  const model = buildModel(config, vocabSize, options).to(device);
  settleDtype(model, config, device);
  initializeFrom(model, config, initial);
  return model;
}

/** How a model waits for weights that are to be loaded: 0, or quantized, with matrices to take. */
interface Building {
  initWeights?: boolean;
  bits?: Bits;
  dict?: StateDict;
}

/** The model that a configuration describes, its weights drawn from the seed, if at all. */
function buildModel(
  config: TrainConfig,
  vocabSize: number,
  { initWeights, bits, dict }: Building,
): LanguageModel {
  manualSeed(config.seed);
  if (config.model === "bigram") return new BigramLanguageModel(vocabSize, config.blockSize);
  const { blockSize, nLayer, nHead, nEmbd, dropout, embeddingDropout, bias } = config;
  const { qkvBias = bias, tieWeights, lmHeadBias, activation, scaleResidual } = config;
  const { positions, norm } = config;
  const gpt = {
    vocabSize,
    blockSize,
    nLayer,
    nHead,
    nEmbd,
    dropout,
    embeddingDropout,
    bias,
    qkvBias,
    tieWeights,
    lmHeadBias,
    activation,
    positions,
    norm,
    scaleResidual,
  };
  return bits ? quantizedGPT(gpt, bits, dict) : new GPT(gpt, { initWeights });
}

/** What the model computes in: where the device has no bf16 and no tf32, in f32. */
function settleDtype(model: LanguageModel, { dtype }: TrainConfig, device: Device): LanguageModel {
  const { addon } = device;
  if (!addon || !("setTf32" in addon)) return model;
  addon.setTf32(dtype === "tf32");
  return dtype === "bf16" ? model.to("bf16") : model;
}

export function readConfig(out: string): TrainConfig {
  const file = join(out, "config.json");
  if (!existsSync(file)) throw new UsageError(`run: ${out} holds no run: it has no config.json`);
  return resolveConfig(file, readJSON(file) as Partial<TrainConfig>);
}

/** The tokenizer of a run; it must be the one that the model of a checkpoint has learned with. */
export function readTokenizer(out: string, state: RunState): Tokenizer {
  const tokenizer = loadTokenizer(join(out, "tokenizer.json"));
  if (state.tokenizerSha256 && state.tokenizerSha256 !== tokenizerSha256(tokenizer))
    throw new UsageError(`run: ${out} has another tokenizer.json than its model was trained with`);
  return tokenizer;
}

/** What a checkpoint knows its tokenizer by. */
export function tokenizerSha256(tokenizer: Tokenizer): string {
  return sha256(JSON.stringify(tokenizer));
}

export function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function readJSON(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch (cause) {
    throw new Error(`cannot read ${file}: ${(cause as Error).message}`, { cause });
  }
}
