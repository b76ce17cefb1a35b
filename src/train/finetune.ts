// Fine-tuning: a run that begins with the weights, the tokenizer and the shape of a model that is
// there already; what of it is frozen, and what is trained in its place.

import { UsageError } from "../errors.ts";
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

/** A trained model, and where it lies. */
export interface Pretrained {
  folder: string;
  /** The files of its weights. */
  files: string[];
  config: TrainConfig;
  tokenizer: Tokenizer;
  model: LanguageModel;
}

/** What a model is, and therefore remains. */
const inherited = [
  "model",
  "tokenizer",
  "nLayer",
  "nHead",
  "nEmbd",
  "bias",
  "qkvBias",
  "tieWeights",
  "lmHeadBias",
  "activation",
  "positions",
  "norm",
  "scaleResidual",
] as const;

/**
 * The options of a run that begins with another's model: the model's are the other's, only
 * blockSize may be less; training's are those given, or a preset's. The learning rate is a tenth of
 * the other's unless one of them says another. Throws a UsageError where options contradict.
 */
export function inherit(given: Partial<TrainConfig>, initial: Pretrained): Partial<TrainConfig> {
  const { folder, config } = initial;
  const own: Partial<TrainConfig> = { ...config, qkvBias: config.qkvBias ?? config.bias };
  const refuse = (what: string) => {
    throw new UsageError(`initFrom: ${what}`);
  };
  if (isQuantized(initial.model))
    refuse(`${folder} holds a quantized model; train the one it is of`);
  for (const key of inherited)
    if (given[key] !== undefined && given[key] !== own[key])
      refuse(`${key} is ${own[key]} in ${folder}, and stays`);
  if (given.vocabSize !== undefined && given.vocabSize !== initial.tokenizer.vocabSize)
    refuse(`vocabSize is ${initial.tokenizer.vocabSize} in ${folder}, and stays`);
  const { blockSize = config.blockSize } = given;
  if (blockSize > config.blockSize)
    refuse(`blockSize is ${config.blockSize} in ${folder}, and may only be less`);
  const preset: Partial<TrainConfig> = given.preset ? presets[given.preset] : {};
  const learningRate = preset.learningRate ?? config.learningRate / 10;
  const model = Object.fromEntries(inherited.map((key) => [key, own[key]]));
  return { learningRate, ...given, ...model, vocabSize: config.vocabSize, blockSize };
}

/** Throws a UsageError where options of fine-tuning do not go together. */
export function validateFinetune(config: TrainConfig): void {
  const { initFrom, extendVocab, freeze: frozen, loraRank, loraAlpha, model } = config;
  const { nLayer, nEmbd } = config;
  const refuse = (what: string) => {
    throw new UsageError(what);
  };
  const isPartial = loraRank !== undefined || frozen !== undefined;
  if (!initFrom && loraRank !== undefined) refuse("loraRank: adapters need --init-from DIR");
  if (!initFrom && extendVocab) refuse("extendVocab: is for --init-from DIR");
  if (loraRank === undefined && loraAlpha !== undefined) refuse("loraAlpha: needs --lora-rank N");
  if (isPartial && model !== "gpt") refuse(`model: ${model} has no blocks to freeze or adapt`);
  if (isPartial && extendVocab)
    refuse("extendVocab: new embeddings must be trained, and --freeze and --lora-rank freeze them");
  if ((frozen ?? 0) > nLayer) refuse(`freeze: is ${frozen}, expected at most nLayer, ${nLayer}`);
  if (loraRank === undefined) return;
  if (frozen === nLayer) refuse(`freeze: is ${frozen}, and leaves loraRank no block to adapt`);
  if (loraRank > nEmbd) refuse(`loraRank: is ${loraRank}, expected at most nEmbd, ${nEmbd}`);
}

/**
 * The tokenizer for a text: that of the initial model. A character tokenizer that lacks some of the
 * text's characters takes them in behind its own if `extendVocab` says so, else it is an error.
 */
export function tokenizerFor(
  { folder, tokenizer }: Pretrained,
  corpus: { name: string; text: string },
  { extendVocab }: TrainConfig,
): Tokenizer {
  if (!(tokenizer instanceof CharTokenizer)) {
    if (!extendVocab) return tokenizer;
    throw new UsageError(`extendVocab: the tokens of ${folder} are no characters`);
  }
  const fresh = CharTokenizer.train(corpus.text).characters.filter(
    (character) => !tokenizer.characters.includes(character),
  );
  if (fresh.length === 0) return tokenizer;
  if (extendVocab) return new CharTokenizer([...tokenizer.characters, ...fresh]);
  const named = fresh.map((character) => JSON.stringify(character)).slice(0, 20);
  throw new UsageError(
    `data: ${corpus.name} has characters that ${folder} does not know: ${named.join(" ")}` +
      `${fresh.length > named.length ? " ..." : ""}; --extend-vocab adds them to its vocabulary`,
  );
}

/**
 * Gives a model that was built by `config` the initial weights, freezes what is not to be trained,
 * and puts adapters in. With LoRA all else is frozen; adapters are in all linear layers of the
 * blocks that `freeze` leaves.
 */
export function initializeFrom(
  model: LanguageModel,
  config: TrainConfig,
  initial: Pretrained | null,
): void {
  if (initial)
    scope(() => model.loadStateDict(resizeRows(model.stateDict(), initial.model.stateDict())));
  const { freeze: frozen = 0, loraRank: rank, loraAlpha: alpha } = config;
  if (!(model instanceof GPT) || (config.freeze === undefined && rank === undefined)) return;
  const { h, wte, wpe } = model;
  const lower: (Module | null)[] = [wte, wpe, ...h.slice(0, frozen)];
  freeze(rank === undefined ? lower.filter((module) => module !== null) : [model]);
  if (rank !== undefined) for (const block of h.slice(frozen)) adapt(block, { rank, alpha });
}

/** Rows that the source lacks are the model's own; rows that the model lacks are left out. */
export function resizeRows(own: StateDict, source: StateDict): StateDict {
  const dict: StateDict = { ...source };
  for (const [name, x] of Object.entries(own)) {
    const [rows, given] = [x.shape[0], source[name]?.shape[0]];
    if (given > rows) dict[name] = slice(source[name], { dim: 0, end: rows });
    if (given < rows) dict[name] = cat([source[name], slice(x, { dim: 0, start: given })]);
  }
  return dict;
}
