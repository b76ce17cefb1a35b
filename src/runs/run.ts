// A run: all that training works on, made from options or from the folder of a run that goes on.

import { existsSync, mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { device as deviceOf } from "../backend/devices.ts";
import { type Device } from "../backend/device.ts";
import type { LanguageModel } from "../gpt/language-model.ts";
import { AdamW } from "../optim/index.ts";
import { loadCorpus } from "../data/corpus.ts";
import { makeTokenizer } from "../tokenizers/registry.ts";
import type { Tokenizer } from "../tokenizers/tokenizer.ts";
import { splitText, splitTokens } from "../data/batches.ts";
import { loadCheckpoint, loadState, type RunState, recover, writeJSON } from "./checkpoint.ts";
import { validateFinetune, type Pretrained, inherit, tokenizerFor } from "../train/finetune.ts";
import {
  baseOf,
  weightsSha256,
  loadInitial,
  prepare,
  readConfig,
  readTokenizer,
  sha256,
  tokenizerSha256,
} from "./load.ts";
import { dropRowsFrom } from "./metrics.ts";
import { resolveConfig, type TrainConfig } from "../train/config.ts";
import { UsageError } from "../errors.ts";

export interface Run {
  /** Its folder: config.json, tokenizer.json, metrics.jsonl, loss.svg, best/, last/. */
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

/** A new run in a folder of its own. */
export async function startRun(options: Partial<TrainConfig>): Promise<Run> {
  const initial = initialOf(options);
  const asked = resolveConfig("train", initial ? inherit(options, initial) : options);
  validateFinetune(asked);
  const corpus = await loadCorpus(asked.data);
  // the run goes on with this text on this device, whatever the defaults will be by then
  const config = { ...asked, data: corpus.source, device: deviceOf(asked.device).name };
  if (initial) config.initFrom = resolve(initial.folder);
  const tokenizer = initial
    ? tokenizerFor(initial, corpus, config)
    : newTokenizer(config, corpus.text);
  const run = assemble(config, config.out ?? newFolder(config), corpus, tokenizer, initial);
  if (existsSync(join(run.out, "config.json")))
    throw new UsageError(`out: ${run.out} holds a run; --resume ${run.out} goes on with it`);
  mkdirSync(run.out, { recursive: true });
  writeJSON(join(run.out, "tokenizer.json"), tokenizer.toJSON());
  writeJSON(join(run.out, "config.json"), config);
  run.device.tuning?.save(join(run.out, "matmul.txt"));
  return run;
}

/** A run as its last checkpoint left it. Of its options maxIters may be raised, others stay. */
export async function resumeRun(out: string, options: Partial<TrainConfig> = {}): Promise<Run> {
  const recorded = readConfig(out);
  const { maxIters = recorded.maxIters, ...others } = options;
  for (const [key, value] of Object.entries(others)) {
    const own = key === "out" ? out : recorded[key as keyof TrainConfig];
    if (value === undefined || value === own) continue;
    throw new UsageError(`resume: ${key} is ${own} in ${out}, and stays; only maxIters may change`);
  }
  const config = { ...recorded, maxIters };
  for (const name of ["best", "last"]) recover(join(out, name));
  const saved = loadState(join(out, "last"));
  if (!saved) throw new UsageError(`resume: ${out} has no checkpoint yet`);
  if (!existsSync(join(out, "last", "optimizer.safetensors")))
    throw new UsageError(`resume: ${out} was imported, not trained; --init-from ${out} trains it`);
  if (config.maxIters < saved.step)
    throw new UsageError(`resume: maxIters is ${config.maxIters}, expected ${saved.step} or more`);
  const tokenizer = readTokenizer(out, saved);
  const base = baseOf(out, config, saved, deviceOf(config.device));
  const run = assemble(config, out, await loadCorpus(config.data), tokenizer, base);
  if (saved.textSha256 !== run.state.textSha256)
    throw new UsageError(`resume: ${run.corpus} is not the text that ${out} was trained on`);
  loadCheckpoint(join(out, "last"), run.model, run.optimizer);
  run.device.tuning?.load(join(out, "matmul.txt"));
  dropRowsFrom(out, saved.step);
  if (config.maxIters !== recorded.maxIters) writeJSON(join(out, "config.json"), config);
  // an evaluation that was made only because the run ended there is not one of the longer run
  const isOwn = saved.step % config.evalInterval === 0 || saved.step === config.maxIters;
  return { ...run, state: { ...saved, evaluation: isOwn ? saved.evaluation : null } };
}

function assemble(
  config: TrainConfig,
  out: string,
  corpus: { name: string; text: string },
  tokenizer: Tokenizer,
  initial: Pretrained | null,
): Run {
  const tokens = splitTokens(corpus.text, tokenizer);
  for (const [name, { length }] of Object.entries(tokens)) {
    if (length > config.blockSize) continue;
    const expected = `expected more than blockSize, ${config.blockSize}`;
    throw new UsageError(
      `data: the ${name} split of ${corpus.name} has ${length} tokens, ${expected}`,
    );
  }
  const device = deviceOf(config.device);
  if (config.dtype !== "f32" && device.memory.isHost)
    throw new UsageError(`dtype: ${config.dtype} lives on cuda, and ${device} has f32`);
  const model = prepare(config, tokenizer.vocabSize, device, initial);
  const optimizer = buildOptimizer(config, model);
  const { name, text } = corpus;
  const sums = { textSha256: sha256(text), tokenizerSha256: tokenizerSha256(tokenizer) };
  const base = initial && config.loraRank ? { baseSha256: weightsSha256(initial) } : {};
  const start = { step: 0, evaluation: null, bestValLoss: null, elapsedSeconds: 0 };
  const state = { ...start, ...sums, ...base };
  return { out, config, corpus: name, text, tokens, tokenizer, device, model, optimizer, state };
}

/** What a new run begins with, where it is told to. */
function initialOf({ initFrom, device }: Partial<TrainConfig>): Pretrained | null {
  return initFrom === undefined ? null : loadInitial(initFrom, deviceOf(device ?? "auto"));
}

/** A tokenizer for a text. Characters: those of all of it, as nanoGPT has it: none is new. */
function newTokenizer({ tokenizer, vocabSize }: TrainConfig, text: string): Tokenizer {
  const learned = tokenizer === "char" || tokenizer === "ids" ? text : splitText(text).train;
  return makeTokenizer(tokenizer, learned, vocabSize);
}

/** AdamW over all that is trained; biases and normalizations are spared decay unless all decay. */
function buildOptimizer(config: TrainConfig, model: LanguageModel): AdamW {
  const { learningRate: lr, beta1, beta2, weightDecay, decay } = config;
  const parameters = [...model.parameters()].filter((w) => w.requiresGrad);
  const decays = parameters.filter((w) => decay === "all" || w.shape.length >= 2);
  const spared = parameters.filter((w) => !decays.includes(w));
  const groups = [{ params: decays }, { params: spared, weightDecay: 0 }];
  const filled = groups.filter(({ params }) => params.length > 0);
  return new AdamW(filled, { lr, betas: [beta1, beta2], weightDecay });
}

/** runs/lecture-0.2m-2026-01-31-12.30.00 */
function newFolder({ preset, model }: TrainConfig): string {
  const time = new Date().toISOString().slice(0, 19).replace("T", "-").replaceAll(":", ".");
  return join("runs", `${preset ?? model}-${time}`);
}
