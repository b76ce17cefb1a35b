// A run: the configuration, text, model, optimizer and state of a training, and the folder that
// records them.

import { existsSync, mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Device } from "../backend/device.ts";
import { device as getDevice } from "../backend/devices.ts";
import { splitText, splitTokens } from "../data/batches.ts";
import { loadCorpus } from "../data/corpus.ts";
import { UsageError } from "../errors.ts";
import { writeJSON } from "../files/durable.ts";
import type { LanguageModel } from "../gpt/language-model.ts";
import type { AdamW } from "../optim/index.ts";
import { makeTokenizer } from "../tokenizers/registry.ts";
import type { Tokenizer } from "../tokenizers/tokenizer.ts";
import { resolveConfig, type TrainConfig } from "../train/config.ts";
import {
  adaptTokenizer,
  inheritOptions,
  type Pretrained,
  validateFinetune,
} from "../train/finetune.ts";
import { buildModel, buildOptimizer } from "./build.ts";
import type { RunState } from "./checkpoint.ts";
import { sha256, tokenizerSha256, weightsSha256 } from "./checksums.ts";
import { loadPretrained } from "./load.ts";

export interface Run {
  /** The folder with config.json, tokenizer.json, metrics.jsonl, loss.svg, best/ and last/. */
  out: string;
  config: TrainConfig;
  /** The name of the text. */
  corpus: string;
  text: string;
  tokens: { train: Int32Array; val: Int32Array };
  tokenizer: Tokenizer;
  device: Device;
  model: LanguageModel;
  optimizer: AdamW;
  state: RunState;
}

/** Creates a new run and its folder. */
export async function startRun(options: Partial<TrainConfig>): Promise<Run> {
  const { initFrom } = options;
  const pretrained =
    initFrom === undefined ? null : loadPretrained(initFrom, getDevice(options.device ?? "auto"));
  const resolved = resolveConfig(
    "train",
    pretrained ? inheritOptions(options, pretrained) : options,
  );
  validateFinetune(resolved);
  const corpus = await loadCorpus(resolved.data);
  // record the actual text and device: a resumed run must not depend on later defaults
  const config = { ...resolved, data: corpus.source, device: getDevice(resolved.device).name };
  if (pretrained) config.initFrom = resolve(pretrained.folder);
  const tokenizer = pretrained
    ? adaptTokenizer(pretrained, corpus, config)
    : createTokenizer(config, corpus.text);
  const out = config.out ?? defaultFolder(config);
  const run = assembleRun(config, out, corpus, tokenizer, pretrained);
  if (existsSync(join(out, "config.json")))
    throw new UsageError(`out: ${out} holds a run already; --resume ${out} continues it`);
  mkdirSync(out, { recursive: true });
  writeJSON(join(out, "tokenizer.json"), tokenizer.toJSON());
  writeJSON(join(out, "config.json"), config);
  run.device.tuning?.save(join(out, "matmul.txt"));
  return run;
}

/** Builds the run that a configuration describes, in its state before the first step. */
export function assembleRun(
  config: TrainConfig,
  out: string,
  { name, text }: { name: string; text: string },
  tokenizer: Tokenizer,
  pretrained: Pretrained | null,
): Run {
  const tokens = splitTokens(text, tokenizer);
  for (const [split, { length }] of Object.entries(tokens)) {
    if (length > config.blockSize) continue;
    const expected = `expected more than blockSize, ${config.blockSize}`;
    throw new UsageError(`data: the ${split} split of ${name} has ${length} tokens, ${expected}`);
  }
  const device = getDevice(config.device);
  if (config.dtype !== "f32" && device.memory.isHost)
    throw new UsageError(
      `dtype: ${config.dtype} is not supported on ${device} (only on cuda); use f32`,
    );
  const model = buildModel(config, tokenizer.vocabSize, device, pretrained);
  const optimizer = buildOptimizer(config, model);
  const state: RunState = {
    step: 0,
    evaluation: null,
    bestValLoss: null,
    elapsedSeconds: 0,
    textSha256: sha256(text),
    tokenizerSha256: tokenizerSha256(tokenizer),
  };
  if (pretrained && config.loraRank) state.baseSha256 = weightsSha256(pretrained.files);
  return { out, config, corpus: name, text, tokens, tokenizer, device, model, optimizer, state };
}

/**
 * Creates the tokenizer for a text. Word and BPE vocabularies are learned from the training split.
 * Characters come from the whole text, as in nanoGPT, so the validation split has no unknown ones.
 */
function createTokenizer({ tokenizer, vocabSize }: TrainConfig, text: string): Tokenizer {
  const usesWholeText = tokenizer === "char" || tokenizer === "ids";
  return makeTokenizer(tokenizer, usesWholeText ? text : splitText(text).train, vocabSize);
}

/** Returns a folder name such as runs/lecture-0.2m-2026-01-31-12.30.00. */
function defaultFolder({ preset, model }: TrainConfig): string {
  const time = new Date().toISOString().slice(0, 19).replace("T", "-").replaceAll(":", ".");
  return join("runs", `${preset ?? model}-${time}`);
}
