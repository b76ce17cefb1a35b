// Fine-tuning: a run that starts from a pretrained model keeps its architecture and tokenizer, and
// trains all of its weights, its upper blocks, or LoRA adapters.

import { UsageError } from "../errors.ts";
import { deriveOptions, gptOptionNames } from "../gpt/config.ts";
import type { LanguageModel } from "../gpt/language-model.ts";
import { GPT } from "../gpt/model.ts";
import { presets } from "../gpt/presets.ts";
import { isQuantized } from "../gpt/quantize.ts";
import { adapt, freeze, type Module, type StateDict } from "../nn/index.ts";
import { cat, slice } from "../ops/movement.ts";
import { scope } from "../scope.ts";
import { CharTokenizer } from "../tokenizers/char.ts";
import type { Tokenizer } from "../tokenizers/tokenizer.ts";
import type { TrainConfig } from "./config.ts";

/** A trained model with its tokenizer, and the folder that it comes from. */
export interface Pretrained {
  folder: string;
  /** The files of its weights. */
  files: string[];
  config: TrainConfig;
  tokenizer: Tokenizer;
  model: LanguageModel;
}

/** Model options that a fine-tuning run may change, some only within limits. */
const adjustable: readonly string[] = ["vocabSize", "blockSize", "dropout", "embeddingDropout"];

/** The options that a fine-tuning run inherits from the pretrained model. */
const inherited: readonly (keyof TrainConfig)[] = [
  "model",
  "tokenizer",
  ...gptOptionNames.filter((name) => !adjustable.includes(name)),
];

/**
 * Returns the options of a run that starts from a pretrained model. The architecture is that of the
 * pretrained model, except that blockSize may be smaller. All other options come from `options` or
 * the preset. The learning rate defaults to a tenth of the pretrained model's. Throws a UsageError
 * if the options contradict the pretrained model.
 */
export function inheritOptions(
  options: Partial<TrainConfig>,
  { folder, config, tokenizer, model }: Pretrained,
): Partial<TrainConfig> {
  const own: Partial<TrainConfig> = { ...config, ...deriveOptions(config) };
  if (isQuantized(model))
    throw new UsageError(`initFrom: ${folder} holds a quantized model; use the original run`);
  for (const key of inherited) checkSame(key, options[key], own[key], folder);
  checkSame("vocabSize", options.vocabSize, tokenizer.vocabSize, folder);
  const { blockSize = config.blockSize } = options;
  if (blockSize > config.blockSize)
    throw new UsageError(
      `initFrom: blockSize is ${config.blockSize} in ${folder} and can only be reduced`,
    );
  const preset: Partial<TrainConfig> = options.preset ? presets[options.preset] : {};
  const learningRate = preset.learningRate ?? config.learningRate / 10;
  const architecture = Object.fromEntries(inherited.map((key) => [key, own[key]]));
  return {
    learningRate,
    ...options,
    ...architecture,
    vocabSize: config.vocabSize,
    blockSize,
  };
}

function checkSame(key: string, value: unknown, pretrained: unknown, folder: string): void {
  if (value !== undefined && value !== pretrained)
    throw new UsageError(`initFrom: ${key} is ${pretrained} in ${folder} and cannot change`);
}

/** Throws a UsageError if the fine-tuning options are inconsistent. */
export function validateFinetune(config: TrainConfig): void {
  const { initFrom, extendVocab, freeze: frozen, loraRank, loraAlpha, model } = config;
  const { nLayer, nEmbd } = config;
  const problem = (message: string) => new UsageError(message);
  const isPartial = loraRank !== undefined || frozen !== undefined;
  if (!initFrom && loraRank !== undefined) throw problem("loraRank: requires --init-from DIR");
  if (!initFrom && extendVocab) throw problem("extendVocab: requires --init-from DIR");
  if (loraRank === undefined && loraAlpha !== undefined)
    throw problem("loraAlpha: requires --lora-rank N");
  if (isPartial && model !== "gpt")
    throw problem(`model: ${model} has no blocks to freeze or adapt`);
  if (isPartial && extendVocab)
    throw problem(
      "extendVocab: new embeddings must be trained, but --freeze and --lora-rank freeze them",
    );
  if ((frozen ?? 0) > nLayer)
    throw problem(`freeze: is ${frozen}, expected at most nLayer, ${nLayer}`);
  if (loraRank === undefined) return;
  if (frozen === nLayer) throw problem(`freeze: is ${frozen}, which leaves no block for loraRank`);
  if (loraRank > nEmbd) throw problem(`loraRank: is ${loraRank}, expected at most nEmbd, ${nEmbd}`);
}

/**
 * Returns the pretrained model's tokenizer for a new text. If it is a character tokenizer and the
 * text has unknown characters, `extendVocab` appends them. Otherwise, they are a UsageError.
 */
export function adaptTokenizer(
  { folder, tokenizer }: Pretrained,
  corpus: { name: string; text: string },
  { extendVocab }: TrainConfig,
): Tokenizer {
  if (!(tokenizer instanceof CharTokenizer)) {
    if (!extendVocab) return tokenizer;
    throw new UsageError(`extendVocab: ${folder} does not have a character tokenizer`);
  }
  const known = new Set(tokenizer.characters);
  const { characters } = CharTokenizer.train(corpus.text);
  const added = characters.filter((character) => !known.has(character));
  if (added.length === 0) return tokenizer;
  if (extendVocab) return new CharTokenizer([...tokenizer.characters, ...added]);
  const shown = added.slice(0, 20).map((character) => JSON.stringify(character));
  const more = added.length > shown.length ? " ..." : "";
  throw new UsageError(
    `data: ${corpus.name} has characters that are not in the vocabulary of ${folder}: ` +
      `${shown.join(" ")}${more}; --extend-vocab adds them`,
  );
}

/**
 * Copies the pretrained weights, if there are any, into a model that was built from `config`,
 * freezes its embeddings and first `freeze` blocks, and adds LoRA adapters to all linear layers of
 * the other blocks. With adapters, all other parameters are frozen.
 */
export function initializeFrom(
  model: LanguageModel,
  config: TrainConfig,
  pretrained: Pretrained | null,
): void {
  if (pretrained) {
    const source = pretrained.model.stateDict();
    scope(() => model.loadStateDict(resizeRows(source, model.stateDict())));
  }
  const { freeze: frozen = 0, loraRank: rank, loraAlpha: alpha } = config;
  if (!(model instanceof GPT) || (config.freeze === undefined && rank === undefined)) return;
  const { h, wte, wpe } = model;
  if (rank === undefined) {
    const modules: (Module | null)[] = [wte, wpe, ...h.slice(0, frozen)];
    freeze(modules.filter((module) => module !== null));
  } else {
    freeze([model]);
    for (const block of h.slice(frozen)) adapt(block, { rank, alpha });
  }
}

/**
 * Resizes the tensors of `source` to the number of rows that `own` has: additional rows of a source
 * tensor are dropped, missing ones are taken from `own`.
 */
export function resizeRows(source: StateDict, own: StateDict): StateDict {
  const dict: StateDict = { ...source };
  for (const [name, x] of Object.entries(own)) {
    const rows = x.shape[0];
    const sourceRows = source[name]?.shape[0];
    if (sourceRows > rows) dict[name] = slice(source[name], { dim: 0, end: rows });
    if (sourceRows < rows)
      dict[name] = cat([source[name], slice(x, { dim: 0, start: sourceRows })]);
  }
  return dict;
}
