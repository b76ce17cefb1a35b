// The options of a training run, resolved as: defaults < preset < config file < flags.

import { dataOrders } from "../data/order.ts";
import { UsageError } from "../errors.ts";
import { activations, MAX_BLOCK_SIZE, MAX_SOFTCAP, norms, positionKinds } from "../gpt/config.ts";
import { presets } from "../gpt/presets.ts";
import { checkValues, getDefaults, type OptionSpec } from "../options.ts";
import { checkVocabSize, tokenizerKinds } from "../tokenizers/registry.ts";
import { override, resolveLength } from "./levels.ts";
import { checkSizes } from "./sizes.ts";
import {
  decayKinds,
  deviceNames,
  dtypes,
  modelKinds,
  optimizers,
  precisions,
  schedules,
  type TrainConfig,
} from "./train-config.ts";

export type { TrainConfig } from "./train-config.ts";

const integer = (help: string, value?: number, min = 1, max?: number) =>
  ({ type: "integer", help, default: value, min, max, value: "N" }) as const;
const number = (help: string, value?: number, max?: number) =>
  ({ type: "number", help, default: value, min: 0, max, value: "X" }) as const;
const positive = (help: string, value: number) =>
  ({ type: "number", help, default: value, above: 0, value: "X" }) as const;
const boolean = (help: string, value?: boolean) =>
  ({ type: "boolean", help, default: value }) as const;
const string = (help: string, value: string) => ({ type: "string", help, value }) as const;
const choice = (help: string, choices: readonly string[], value?: string) =>
  ({ type: "string", help, choices, default: value, value: "NAME" }) as const;

export const trainOptions: Record<keyof TrainConfig, OptionSpec> = {
  preset: choice(
    "known configuration to start from; other options override it",
    Object.keys(presets),
  ),
  data: string(
    "training text: a file, or the name of a text; or token shards: a folder or DIR/*.bin",
    "FILE|NAME|DIR",
  ),
  dataOrder: choice(
    "order of the data: random sequences, or epochs, which use each token once",
    dataOrders,
    "random",
  ),
  tokenizer: choice("tokenizer", tokenizerKinds, "char"),
  vocabSize: {
    type: "integer",
    help:
      "vocabulary size (default: 4096 for word, 1024 for bpe); " +
      "other tokenizers have a fixed size",
    value: "N",
  },
  out: string("output folder of the run (default: a new folder under runs/)", "DIR"),
  initFrom: string("fine-tune the model of a run, or of a Hugging Face folder", "DIR"),
  extendVocab: boolean("with --init-from: add the text's new characters to the vocabulary", false),
  freeze: integer("freeze the embeddings and the first N blocks", undefined, 0),
  loraRank: integer(
    "with --init-from: train only LoRA adapters of rank N in the linear layers of blocks",
  ),
  loraAlpha: {
    type: "number",
    help: "LoRA scaling: adapters are scaled by X / rank (default: the rank)",
    above: 0, // with 0 the adapters would have no gradient
    value: "X",
  },
  device: choice("device; auto selects the fastest available", deviceNames, "auto"),
  dtype: choice("precision; tf32 and bf16 require cuda", dtypes, "f32"),
  matmulPrecision: choice(
    "precision of f32 matmuls; medium rounds their operands to bf16 on processors that " +
      "multiply it (cuda: to tf32)",
    precisions,
    "highest",
  ),
  seed: integer("random seed", 1337, 0),
  model: choice("model architecture", modelKinds, "gpt"),
  nLayer: integer("number of transformer blocks", 4),
  nHead: integer("number of attention heads", 4),
  nKvHead: integer("heads of keys and values, for grouped queries (default: n-head)"),
  headDim: integer("dimension of an attention head (default: n-embd / n-head)"),
  nEmbd: integer("embedding dimension", 64),
  mlpWidth: integer("width of the MLP's hidden layer (default: 4 n-embd; swiglu: 8/3 n-embd)"),
  blockSize: integer("maximum context length in tokens", 32, 1, MAX_BLOCK_SIZE),
  dropout: number("dropout probability", 0, 0.99),
  embeddingDropout: boolean("apply dropout to the embeddings as well", false),
  bias: boolean("biases in linear layers and normalizations", true),
  qkvBias: boolean("bias in the query, key and value projections (default: as --bias)"),
  tieWeights: boolean("share the weight of the token embedding with the output head", true),
  lmHeadBias: boolean("bias in the output head", false),
  activation: choice("activation of the MLP", activations, "gelu"),
  positions: choice("position encoding", positionKinds, "learned"),
  ropeTheta: positive("base of the frequencies of rotary positions", 10_000),
  ropeScaling: positive("divide low rotary frequencies by X, as Llama 3.1 does", 1),
  norm: choice("normalization", norms, "layer"),
  normEps: positive("epsilon of the normalizations", 1e-5),
  qkNorm: boolean("normalize the queries and keys of each attention head (QK-norm)", false),
  qkNormWeight: boolean("with --qk-norm: a learned weight for queries and one for keys", false),
  tokenShift: boolean(
    "add a learned part of the previous token to the inputs of attention and MLP (token shift)",
    false,
  ),
  logitSoftcap: number(
    "cap logits softly at +-X: X tanh(logits / X); 0 disables it",
    0,
    MAX_SOFTCAP,
  ),
  scaleResidual: boolean(
    "scale initial residual projections by 1/sqrt(2 n-layer), like GPT-2",
    true,
  ),
  zeroInitProjections: boolean("start residual projections at 0", false),
  batchSize: integer("sequences per batch", 16),
  gradAccum: integer("gradient accumulation: batches per optimizer step", 1),
  maxIters: integer("total number of optimizer steps", 2000, 0),
  maxSeconds: {
    type: "number",
    help:
      "stop after X seconds of training, not counting evaluations, checkpoints and pauses; " +
      "schedules follow the time; with --max-iters, whichever comes first",
    above: 0,
    value: "X",
  },
  estimates: string(
    "learning rates of a run with --max-seconds, in its config.json: with --max-iters of its " +
      "number of steps, it is repeated",
    "TEXT",
  ),
  evalInterval: integer("evaluate and save a checkpoint every N steps", 500),
  evalIters: integer("batches per split in an evaluation", 50),
  logInterval: integer("log metrics every N steps", 10),
  optimizer: choice(
    "optimizer; muon updates the matrices of blocks by Muon and all else by AdamW",
    optimizers,
    "adamw",
  ),
  learningRate: number("peak learning rate", 1e-3),
  minLr: number("final learning rate of the decay", 0),
  schedule: choice(
    "learning-rate decay (default: cosine if --lr-decay-iters is set, otherwise a constant rate)",
    schedules,
  ),
  decayShare: number(
    "with --schedule wsd: share of the training that decays (default: 0.4)",
    undefined,
    1,
  ),
  warmupIters: integer("steps of linear learning-rate warmup", 0, 0),
  warmupShare: number(
    "share of the training that is warmup, instead of --warmup-iters",
    undefined,
    1,
  ),
  lrDecayIters: integer(
    "step at which the decay ends; 0: at the end with --schedule or --max-seconds, " +
      "otherwise never, a constant rate",
    0,
    0,
  ),
  embeddingLrScale: number("learning rate of embeddings, as a multiple of the base rate", 1),
  headLrScale: number("learning rate of an untied output head, as a multiple of the base rate", 1),
  vectorLrScale: number("learning rate of biases and norms, as a multiple of the base rate", 1),
  weightDecay: number("weight decay", 0.1),
  decay: choice("parameters that weight decay applies to", decayKinds, "matrices"),
  beta1: number("AdamW beta1", 0.9, 0.9999999),
  beta2: number("AdamW beta2", 0.99, 0.9999999),
  muonMomentum: number("momentum of Muon", 0.95, 0.9999999),
  muonNsSteps: integer("Newton-Schulz iterations of Muon", 5, 0, 99),
  gradClip: number("gradient-norm clipping threshold; 0 disables clipping", 0),
  emaDecay: number(
    "decay of an exponential moving average of the weights, which is evaluated and saved instead " +
      "of them; 0: none",
    0,
    0.9999999,
  ),
};

/**
 * Resolves a configuration: defaults < preset < `values`. Error messages begin with `source`, the
 * command or file that the values come from. Throws a UsageError.
 */
export function resolveConfig(source: string, values: Partial<TrainConfig>): TrainConfig {
  checkValues(trainOptions, values, source);
  const preset = values.preset && presets[values.preset];
  const defaults = getDefaults<TrainConfig>(trainOptions);
  const config = override(override(defaults, preset ?? {}), values);
  checkValues(trainOptions, config, `preset ${config.preset}`);
  resolveLength(source, config, values);
  checkSizes(source, config);
  checkVocabSize(source, config.tokenizer, config.vocabSize);
  if (config.headLrScale !== 1 && config.tieWeights && config.model === "gpt")
    throw new UsageError(
      `${source}: headLrScale is ${config.headLrScale}, but the head shares the weight of the ` +
        "token embedding; use --embedding-lr-scale, or --no-tie-weights",
    );
  return config;
}
