// Builds a run of the page: from settings and a text, or from the files of a run.

import type { Device } from "../backend/device.ts";
import { defaultDevice } from "../backend/devices.ts";
import { checkLengths, splitTokens } from "../data/batches.ts";
import { UsageError } from "../errors.ts";
import type { LanguageModel } from "../gpt/language-model.ts";
import type { AnyOptimizer, EMA } from "../optim/index.ts";
import { buildEMA, buildModel, buildOptimizer, buildTokenizer } from "../runs/build.ts";
import type { MetricsRow } from "../runs/metrics.ts";
import { initialState, type RunState } from "../runs/state.ts";
import type { Tokenizer } from "../tokenizers/tokenizer.ts";
import type { TrainConfig } from "../train/config.ts";
import { type Settings, toConfig } from "./settings.ts";
import { sha256 } from "./sha256.ts";

/** A run in the page. It has no folder; run-files.ts converts it to the files of one. */
export interface PageRun {
  settings: Settings;
  config: TrainConfig;
  /** The name of the text. */
  name: string;
  /** Null for a model that was opened without a text. It cannot be trained. */
  text: string | null;
  tokens: { train: Int32Array; val: Int32Array } | null;
  tokenizer: Tokenizer;
  device: Device;
  model: LanguageModel;
  optimizer: AnyOptimizer;
  ema: EMA | null;
  state: RunState;
  rows: MetricsRow[];
}

/** The largest number of parameters: more would take too long in a page. */
const MAX_PARAMETERS = 40e6;

/** Starts a new run. Throws a UsageError if the settings are wrong or the text is too short. */
export function startRun(settings: Settings, name: string, text: string): PageRun {
  const config = toConfig(settings);
  const tokenizer = buildTokenizer(settings.tokenizer, config.vocabSize, text);
  checkSize(config, tokenizer.vocabSize);
  const tokens = splitTokens(text, tokenizer);
  checkLengths(tokens, name, config.blockSize);
  const device = defaultDevice();
  const model = buildModel(config, tokenizer.vocabSize, device, null);
  const state = initialState(sha256(text), sha256(JSON.stringify(tokenizer)));
  const optimizer = buildOptimizer(config, model);
  const ema = buildEMA(config, model);
  const inputs = { settings, config, name, text, tokens, tokenizer };
  return { ...inputs, device, model, optimizer, ema, state, rows: [] };
}

/** Throws a UsageError if a model would be too large for a page. */
export function checkSize(config: TrainConfig, vocabSize: number): void {
  const { nLayer, nEmbd, blockSize } = config;
  const parameters = 12 * nLayer * nEmbd ** 2 + (vocabSize + blockSize) * nEmbd;
  if (parameters <= MAX_PARAMETERS) return;
  const millions = (parameters / 1e6).toFixed(0);
  throw new UsageError(
    `settings: the model has ${millions} million parameters, expected at most ` +
      `${MAX_PARAMETERS / 1e6} million in a page`,
  );
}
