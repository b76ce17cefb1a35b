// A run: the configuration, text, model, optimizer and state of a training, and the folder that
// records them.

import { join, resolve } from "node:path";
import type { Device } from "../backend/device.ts";
import { device as getDevice } from "../backend/devices.ts";
import { checkLengths } from "../data/batches.ts";
import {
  chooseTokenizer,
  dataSha256,
  isText,
  loadData,
  type TrainingData,
  toTokens,
} from "../data/load.ts";
import type { ShardData } from "../data/shards/open.ts";
import type { SplitTokens } from "../data/tokens.ts";
import { UsageError } from "../errors.ts";
import { writeJSON } from "../files/durable.ts";
import { sha256OfFiles } from "../files/sha256.ts";
import type { LanguageModel } from "../gpt/language-model.ts";
import type { AnyOptimizer, EMA } from "../optim/index.ts";
import { loadGPT2Tokenizer } from "../tokenizers/bpe/gpt2.ts";
import { tokenizerSha256 } from "../tokenizers/io.ts";
import type { TokenizerKind } from "../tokenizers/registry.ts";
import type { Tokenizer } from "../tokenizers/tokenizer.ts";
import { resolveConfig, type TrainConfig } from "../train/config.ts";
import {
  adaptTokenizer,
  inheritOptions,
  type Pretrained,
  validateFinetune,
} from "../train/finetune.ts";
import { makePlan, type StepPlan } from "../train/step-plan.ts";
import { buildEMA, buildModel, buildOptimizer, buildTokenizer } from "./build.ts";
import { copyChatFormat } from "./chat-format.ts";
import type { RunState } from "./checkpoint.ts";
import { writeConfig } from "./config-file.ts";
import { createNumberedFolder, createRunFolder, type RunFolder } from "./folder.ts";
import { loadPretrained } from "./load.ts";
import type { OpenCallbacks } from "./open-callbacks.ts";
import { initialState } from "./state.ts";

export interface Run {
  /** The folder with config.json, tokenizer.json, metrics.jsonl, loss.svg, best/ and last/. */
  out: string;
  /** Keeps other processes from writing to that folder. @internal */
  folder: RunFolder;
  config: TrainConfig;
  /** The name of the text. */
  corpus: string;
  /** The whole text; empty for token shards. */
  text: string;
  /** The token shards, which stay on disk; null for a text. */
  shards: ShardData | null;
  tokens: SplitTokens;
  tokenizer: Tokenizer;
  device: Device;
  model: LanguageModel;
  optimizer: AnyOptimizer;
  /** The average of the weights, with emaDecay. */
  ema: EMA | null;
  /** The estimated number of steps, with maxSeconds or estimates. @internal */
  plan: StepPlan | null;
  state: RunState;
  /** The number of processes that train the run together. @internal */
  processes: number;
}

/** Creates a new run and its folder. */
export async function startRun(
  options: Partial<TrainConfig>,
  callbacks: OpenCallbacks = {},
): Promise<Run> {
  const { initFrom } = options;
  const pretrained =
    initFrom === undefined ? null : loadPretrained(initFrom, getDevice(options.device ?? "auto"));
  const resolved = resolveConfig(
    "train",
    pretrained ? inheritOptions(options, pretrained) : options,
  );
  validateFinetune(resolved);
  const device = getDevice(resolved.device);
  checkDType(resolved, device);
  callbacks.check?.(resolved, device);
  // before the work, so that it is not done for a folder that cannot be used
  const folder = resolved.out
    ? createRunFolder(resolved.out)
    : createNumberedFolder("runs", defaultName(resolved));
  try {
    const { tokenizer: kind, vocabSize } = resolved;
    const choice = pretrained?.tokenizer ?? { kind, vocabSize };
    const data = await loadData(resolved.data, choice, callbacks.preparing);
    // record the actual text and device: a resumed run must not depend on later defaults
    const config = { ...resolved, data: data.source, device: device.name };
    if (pretrained) config.initFrom = resolve(pretrained.folder);
    const chosen = pretrained
      ? { tokenizer: inheritTokenizer(pretrained, data, config), kind }
      : createTokenizer(config, data, options.tokenizer);
    config.tokenizer = chosen.kind;
    const { tokenizer } = chosen;
    const run = assembleRun(config, folder, data, tokenizer, pretrained);
    writeJSON(join(run.out, "tokenizer.json"), tokenizer.toJSON());
    if (pretrained) copyChatFormat(pretrained.folder, run.out);
    run.device.tuning?.save(join(run.out, "matmul.txt"));
    writeConfig(run.out, config); // from here on the folder is a run
    return run;
  } catch (error) {
    folder.discard();
    throw error;
  }
}

/** Builds the run that a configuration describes, in its state before the first step. */
export function assembleRun(
  config: TrainConfig,
  folder: RunFolder,
  data: TrainingData,
  tokenizer: Tokenizer,
  pretrained: Pretrained | null,
): Run {
  const device = getDevice(config.device);
  checkDType(config, device);
  const tokens = toTokens(data, tokenizer);
  checkLengths(tokens, data.name, config.blockSize, config.dataOrder);
  const model = buildModel(config, tokenizer.vocabSize, device, pretrained);
  const optimizer = buildOptimizer(config, model);
  const ema = buildEMA(config, model);
  const plan = makePlan(config);
  const state = initialState(dataSha256(data), tokenizerSha256(tokenizer));
  if (pretrained && config.loraRank) state.baseSha256 = sha256OfFiles(pretrained.files);
  const out = folder.path;
  const text = isText(data) ? data.text : "";
  const shards = isText(data) ? null : data;
  const inputs = { corpus: data.name, text, shards, tokens, tokenizer };
  const built = { device, model, optimizer, ema, plan, state };
  return { out, folder, config, ...inputs, ...built, processes: 1 };
}

function checkDType({ dtype }: TrainConfig, device: Device): void {
  if (dtype !== "f32" && device.memory.isHost)
    throw new UsageError(`dtype: ${dtype} is not supported on ${device} (only on cuda); use f32`);
}

/** Returns the tokenizer of a run that starts from a pretrained model. */
function inheritTokenizer(
  pretrained: Pretrained,
  data: TrainingData,
  config: TrainConfig,
): Tokenizer {
  if (isText(data)) return adaptTokenizer(pretrained, data, config);
  if (config.extendVocab)
    throw new UsageError(`extendVocab: ${data.name} is not a text in memory, but token shards`);
  return pretrained.tokenizer;
}

/** Returns the tokenizer of a new run, and its kind, which shards determine. */
function createTokenizer(
  { tokenizer: kind, vocabSize }: TrainConfig,
  data: TrainingData,
  requested: TokenizerKind | undefined,
): { tokenizer: Tokenizer; kind: TokenizerKind } {
  if (!isText(data)) return chooseTokenizer(data, kind, requested);
  if (kind === "gpt2") return { tokenizer: loadGPT2Tokenizer(), kind };
  return { tokenizer: buildTokenizer(kind, vocabSize, data.text), kind };
}

/** Returns a folder name such as lecture-0.2m-2026-01-31-12.30.00. */
function defaultName({ preset, model }: TrainConfig): string {
  const time = new Date().toISOString().slice(0, 19).replace("T", "-").replaceAll(":", ".");
  return `${preset ?? model}-${time}`;
}
