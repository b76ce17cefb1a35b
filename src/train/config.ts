// The options of training, and how they are settled: defaults < preset < file < flags.

import { defined, UsageError } from "../errors.ts";
import { activations, norms, positionKinds } from "../gpt/config.ts";
import { presets } from "../gpt/presets.ts";
import { checkValues, getDefaults, type OptionSpec } from "../options.ts";
import { type TokenizerKind, tokenizerKinds, vocabSizes } from "../tokenizers/registry.ts";

const devices = ["auto", "cuda", "cpu", "ts", "cuda-emulator"] as const;
const models = ["gpt", "bigram"] as const;

/** Everything that a run is made of. */
export interface TrainConfig {
  preset?: keyof typeof presets;
  data?: string;
  tokenizer: TokenizerKind;
  vocabSize?: number;
  out?: string;
  initFrom?: string;
  extendVocab: boolean;
  freeze?: number;
  loraRank?: number;
  loraAlpha?: number;
  device: (typeof devices)[number];
  dtype: "f32" | "tf32" | "bf16";
  seed: number;
  model: (typeof models)[number];
  nLayer: number;
  nHead: number;
  nEmbd: number;
  blockSize: number;
  dropout: number;
  embeddingDropout: boolean;
  bias: boolean;
  qkvBias?: boolean;
  tieWeights: boolean;
  lmHeadBias: boolean;
  activation: (typeof activations)[number];
  positions: (typeof positionKinds)[number];
  norm: (typeof norms)[number];
  scaleResidual: boolean;
  batchSize: number;
  gradAccum: number;
  maxIters: number;
  evalInterval: number;
  evalIters: number;
  logInterval: number;
  learningRate: number;
  minLr: number;
  warmupIters: number;
  lrDecayIters: number;
  weightDecay: number;
  decay: "all" | "matrices";
  beta1: number;
  beta2: number;
  gradClip: number;
}

const count = (help: string, value: number, min = 1) =>
  ({ type: "integer", help, default: value, min, value: "N" }) as const;
const open = (help: string, min: number) => ({ type: "integer", help, min, value: "N" }) as const;
const real = (help: string, value: number, max?: number) =>
  ({ type: "number", help, default: value, min: 0, max, value: "X" }) as const;
const flag = (help: string, value?: boolean) =>
  ({ type: "boolean", help, default: value }) as const;
const text = (help: string, value: string) => ({ type: "string", help, value }) as const;
const choice = (help: string, choices: readonly string[], value?: string) =>
  ({ type: "string", help, choices, default: value, value: "NAME" }) as const;

export const trainOptions: Record<keyof TrainConfig, OptionSpec> = {
  preset: choice("a known configuration, which the other options change", Object.keys(presets)),
  data: text("the text: a file, shakespeare or moby-dick", "FILE|NAME"),
  tokenizer: choice("what a token is", tokenizerKinds, "char"),
  vocabSize: {
    type: "integer",
    help: "tokens that there are to be (word: 4096, bpe: 1024; others have their own number)",
    value: "N",
  },
  out: text("the run's folder (default: a new one under runs/)", "DIR"),
  initFrom: text("begin with the model of a run, or of a Hugging Face GPT-2 folder", "DIR"),
  extendVocab: flag("add the text's new characters to that model's", false),
  freeze: open("train neither embeddings nor the first N blocks", 0),
  loraRank: open("train only adapters of this rank, in all linear layers of the blocks", 1),
  loraAlpha: {
    type: "number",
    help: "scale of the adapters, which is X / rank (default: the rank)",
    above: 0, // with 0 they would have no gradient
    value: "X",
  },
  device: choice("where to compute; auto: the fastest that works", devices, "auto"),
  dtype: choice("the numbers' type; tf32 and bf16 on cuda", ["f32", "tf32", "bf16"], "f32"),
  seed: count("start of all random numbers", 1337, 0),
  model: choice("the kind of model", models, "gpt"),
  nLayer: count("blocks", 4),
  nHead: count("attention heads in a block", 4),
  nEmbd: count("width of the residual stream", 64),
  blockSize: count("tokens that the model sees at once", 32),
  dropout: real("probability of dropout", 0, 0.99),
  embeddingDropout: flag("dropout on the embeddings too", false),
  bias: flag("biases in linear layers and normalizations", true),
  qkvBias: flag("a bias in the projection to queries, keys, values (default: as --bias)"),
  tieWeights: flag("use the token embedding as the head", true),
  lmHeadBias: flag("a bias in the head", false),
  activation: choice("the function in the MLP", activations, "gelu"),
  positions: choice("how it tells where a token stands", positionKinds, "learned"),
  norm: choice("what normalizes the residual stream", norms, "layer"),
  scaleResidual: flag("start residual projections smaller, as GPT-2 does", true),
  batchSize: count("sequences in a batch", 16),
  gradAccum: count("batches whose gradients make one step", 1),
  maxIters: count("steps", 2000, 0),
  evalInterval: count("steps from one evaluation and checkpoint to the next", 500),
  evalIters: count("batches of each split in an evaluation", 50),
  logInterval: count("steps from one line of metrics to the next", 10),
  learningRate: real("the learning rate, at its highest", 1e-3),
  minLr: real("the learning rate after its decay", 0),
  warmupIters: count("steps in which the learning rate rises", 0, 0),
  lrDecayIters: count("step at which the cosine ends (0: constant rate)", 0, 0),
  weightDecay: real("AdamW's decay", 0.1),
  decay: choice("what decays", ["all", "matrices"], "matrices"),
  beta1: real("AdamW's memory of the gradient", 0.9, 0.9999999),
  beta2: real("AdamW's memory of its square", 0.99, 0.9999999),
  gradClip: real("largest norm of the gradient (0: any)", 0),
};

/** Defaults < preset < the values given, which stand in `from`. Throws a UsageError. */
export function resolveConfig(from: string, values: Partial<TrainConfig>): TrainConfig {
  checkValues(trainOptions, values, from);
  const preset = values.preset && presets[values.preset];
  const defaults = getDefaults<TrainConfig>(trainOptions);
  const config: TrainConfig = { ...defaults, ...preset, ...defined(values) };
  checkValues(trainOptions, config, `preset ${config.preset}`);
  if (config.nEmbd % config.nHead !== 0)
    throw new UsageError(`nEmbd is ${config.nEmbd}, expected a multiple of nHead, ${config.nHead}`);
  const { tokenizer, vocabSize } = config;
  const least = vocabSizes[tokenizer]?.least ?? Infinity;
  if (vocabSize !== undefined && vocabSize < least) {
    const expected = least < Infinity ? `${least} or more` : "none: it has a size of its own";
    throw new UsageError(
      `vocabSize is ${vocabSize} for tokenizer ${tokenizer}, expected ${expected}`,
    );
  }
  return config;
}
