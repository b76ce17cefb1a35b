// Loads a trained model and its tokenizer from the folder of a run.

import { existsSync, realpathSync } from "node:fs";
import { join } from "node:path";
import type { Device } from "../backend/device.ts";
import { defaultDevice, device as getDevice } from "../backend/devices.ts";
import { quote, UsageError } from "../errors.ts";
import { readJSONObject } from "../files/json.ts";
import { isHuggingFaceFolder } from "../gpt/hf-weights.ts";
import { mergeAdapters } from "../nn/index.ts";
import type { Bits } from "../ops/quantized.ts";
import { scope } from "../scope.ts";
import { loadTokenizer, tokenizerSha256 } from "../tokenizers/io.ts";
import type { Tokenizer } from "../tokenizers/tokenizer.ts";
import { resolveConfig, type TrainConfig } from "../train/config.ts";
import type { Pretrained } from "../train/finetune.ts";
import { findBase } from "./base.ts";
import { buildModel } from "./build.ts";
import { loadWeights, type RunState, readCheckpoint } from "./checkpoint.ts";
import { checkpointNames, chooseCheckpoint } from "./choose.ts";
import { importHuggingFace } from "./import.ts";
import { checkWeightShapes } from "./shapes.ts";

export interface LoadOptions {
  /** The folder of the base model of a run with adapters, if it has been moved. */
  base?: string;
  /** The runs with adapters whose base model this one is, outermost first. */
  adapted?: readonly string[];
}

/**
 * Loads the model and the tokenizer of a run from the first of the named checkpoints that exists,
 * by default the one that chooseCheckpoint() returns. Adapters are merged.
 * Throws if the weights are not those of the model in config.json, before it allocates them or the
 * model.
 */
export function loadRun(
  out: string,
  device: Device = getDevice("auto"),
  checkpoints?: readonly string[],
  options: LoadOptions = {},
): Pretrained & { state: RunState } {
  const config = readConfig(out);
  checkAdapted(out, options.adapted ?? []);
  for (const name of checkpoints ?? [chooseCheckpoint(out).name]) {
    const checkpoint = join(out, name);
    const loaded = scope(() => loadModel(out, checkpoint, config, device, options));
    if (!loaded) continue;
    mergeAdapters(loaded.model);
    // frees the memory that held the file's tensors
    for (const { pool } of new Set([device, defaultDevice()])) pool.trim();
    return { folder: out, files: [join(checkpoint, "model.safetensors")], config, ...loaded };
  }
  throw new UsageError(`run: ${out} has no checkpoint yet`);
}

function loadModel(
  out: string,
  checkpoint: string,
  config: TrainConfig,
  device: Device,
  options: LoadOptions,
) {
  let tokenizer!: Tokenizer;
  const read = readCheckpoint(checkpoint, (state) => {
    tokenizer = readTokenizer(out, state);
    return (tensors, { bits }) =>
      checkWeightShapes(tensors, config, tokenizer.vocabSize, parseBits(bits));
  });
  if (!read) return null;
  const { state, weights } = read;
  const base = loadBase(out, config, state, device, options);
  if (base) checkBase(out, config, tokenizer, base);
  const model = buildModel(config, tokenizer.vocabSize, device, base, {
    initWeights: false,
    bits: parseBits(weights.metadata.bits),
    dict: weights.tensors,
  });
  loadWeights(checkpoint, model, weights.tensors);
  return { tokenizer, model, state };
}

/** Returns the path of the weights that loadRun() loads; undefined if there are none yet. */
export function findWeightsFile(run: string): string | undefined {
  const files = checkpointNames.map((name) => join(run, name, "model.safetensors"));
  return files.find((file) => existsSync(file));
}

/** Returns the bits per weight of a quantized checkpoint; undefined for other checkpoints. */
function parseBits(bits?: string): Bits | undefined {
  if (bits !== undefined && bits !== "8" && bits !== "4")
    throw new Error(`bits is ${quote(bits)}, expected 8 or 4`);
  return bits ? (Number(bits) as Bits) : undefined;
}

/** Loads the model in the folder of a run or of a Hugging Face model. */
export function loadPretrained(folder: string, device: Device): Pretrained {
  return isHuggingFaceFolder(folder) ? importHuggingFace(folder, device) : loadRun(folder, device);
}

/** The maximum number of runs with adapters, each for the model of the next one. */
const MAX_ADAPTED = 16;

/** Throws if a run is the base model of itself, or of too many others. */
function checkAdapted(out: string, adapted: readonly string[]): void {
  const folder = realpathSync(out);
  if (adapted.some((other) => realpathSync(other) === folder))
    throw new UsageError(`initFrom: ${out} is the base model of itself`);
  if (adapted.length > MAX_ADAPTED)
    throw new UsageError(
      `initFrom: ${adapted[0]} is based on more than ${MAX_ADAPTED} runs with adapters`,
    );
}

/** Throws unless the model of a run with adapters has the sizes of its base model. */
export function checkBase(
  out: string,
  config: TrainConfig,
  tokenizer: Tokenizer,
  base: Pretrained,
): void {
  const vocabSize = base.tokenizer.vocabSize;
  const problem = (key: string, expected: unknown, actual: unknown) =>
    new UsageError(
      `run: ${key} is ${actual} in ${out} and ${expected} in its base model, ${base.folder}`,
    );
  if (tokenizer.vocabSize !== vocabSize) throw problem("vocabSize", vocabSize, tokenizer.vocabSize);
  for (const key of ["model", "nLayer", "nEmbd", "nHead"] as const) {
    if (config[key] !== base.config[key]) throw problem(key, base.config[key], config[key]);
  }
  if (config.blockSize > base.config.blockSize)
    throw problem("blockSize", base.config.blockSize, config.blockSize);
}

/**
 * Loads the base model of a run with LoRA adapters; returns null for other runs. Throws a
 * UsageError if findBase() does not find it.
 */
export function loadBase(
  out: string,
  { loraRank, initFrom }: TrainConfig,
  state: RunState,
  device: Device,
  { adapted = [], base: named }: LoadOptions = {},
): Pretrained | null {
  if (loraRank === undefined || initFrom === undefined) {
    if (named !== undefined) throw new UsageError(`base: ${out} holds no adapters`);
    return null;
  }
  const { folder, checkpoint } = findBase(out, initFrom, state.baseSha256, named);
  const options = { adapted: [...adapted, out] };
  if (isHuggingFaceFolder(folder)) return importHuggingFace(folder, device);
  return loadRun(folder, device, checkpoint && [checkpoint], options);
}

/** Reads the config.json of a run. Options missing from an older version's file get defaults. */
export function readConfig(out: string): TrainConfig {
  const file = join(out, "config.json");
  if (!existsSync(file)) throw new UsageError(`run: ${out} is not a run: it has no config.json`);
  return resolveConfig(file, readJSONObject(file));
}

/** Reads the tokenizer of a run. Throws unless it is the one that a checkpoint was trained with. */
export function readTokenizer(out: string, state: RunState): Tokenizer {
  const tokenizer = loadTokenizer(join(out, "tokenizer.json"));
  if (state.tokenizerSha256 && state.tokenizerSha256 !== tokenizerSha256(tokenizer))
    throw new UsageError(
      `run: the tokenizer.json in ${out} is not the one that the model was trained with`,
    );
  return tokenizer;
}
