// How a model comes out of the folder of a run again, with its tokenizer.

import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Device, device as deviceOf } from "../device.ts";
import { BigramLanguageModel, type LanguageModel } from "../gpt/bigram.ts";
import { GPT } from "../gpt/model.ts";
import { manualSeed } from "../random.ts";
import { tokenizerFromJSON } from "../text/kinds.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { loadCheckpoint, loadState, type RunState } from "./checkpoint.ts";
import { settle, type TrainConfig } from "./options.ts";
import { UsageError } from "./table.ts";

/**
 * A trained model and its tokenizer: the checkpoint with the best validation loss, else the last.
 */
export function loadRun(
  out: string,
  device: Device = deviceOf("auto"),
): { config: TrainConfig; tokenizer: Tokenizer; model: LanguageModel; state: RunState } {
  const config = readConfig(out);
  for (const checkpoint of [join(out, "best"), join(out, "last")]) {
    const state = loadState(checkpoint);
    if (!state) continue;
    const tokenizer = readTokenizer(out, state);
    const model = settleDtype(buildModel(config, tokenizer.vocabSize).to(device), config, device);
    loadCheckpoint(checkpoint, model);
    return { config, tokenizer, model, state };
  }
  throw new UsageError(`run: ${out} has no checkpoint yet`);
}

/** The model that a configuration describes, its weights drawn from the seed. */
export function buildModel(config: TrainConfig, vocabSize: number): LanguageModel {
  manualSeed(config.seed);
  if (config.model === "bigram") return new BigramLanguageModel(vocabSize, config.blockSize);
  const { blockSize, nLayer, nHead, nEmbd, dropout, embeddingDropout, bias } = config;
  const { qkvBias = bias, tieWeights, lmHeadBias, activation, scaleResidual } = config;
  const { positions, norm } = config;
  return new GPT({
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
  });
}

/** What the model computes in: where the device has no bf16 and no tf32, in f32. */
export function settleDtype(
  model: LanguageModel,
  { dtype }: TrainConfig,
  device: Device,
): LanguageModel {
  const { addon } = device;
  if (!addon || !("setTf32" in addon)) return model;
  addon.setTf32(dtype === "tf32");
  return dtype === "bf16" ? model.to("bf16") : model;
}

export function readConfig(out: string): TrainConfig {
  const file = join(out, "config.json");
  if (!existsSync(file)) throw new UsageError(`run: ${out} holds no run: it has no config.json`);
  return settle(file, readJSON(file) as Partial<TrainConfig>);
}

/** The tokenizer of a run; it must be the one that the model of a checkpoint has learned with. */
export function readTokenizer(out: string, { tokenizerSha256 }: RunState): Tokenizer {
  const tokenizer = tokenizerFromJSON(readJSON(join(out, "tokenizer.json")));
  if (tokenizerSha256 && tokenizerSha256 !== sumOf(tokenizer))
    throw new UsageError(`run: ${out} has another tokenizer.json than its model was trained with`);
  return tokenizer;
}

/** What a checkpoint knows its tokenizer by. */
export function sumOf(tokenizer: Tokenizer): string {
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
