// What a GPT can be told to be.

import { checkOptions, defined, fail } from "../errors.ts";

/** What the MLP may have between its two layers. */
export const activations = ["relu", "gelu", "gelu-tanh", "silu", "tanh", "swiglu"] as const;

/**
 * How it tells where a token stands: a learned table, one of sinusoids (Vaswani et al., 2017),
 * queries and keys that are turned (Su et al., 2021), or not at all.
 */
export const positionKinds = ["learned", "sinusoidal", "rotary", "none"] as const;
/** How the residual stream is normalized before a branch reads it. */
export const norms = ["layer", "rms"] as const;

export interface GPTConfig {
  vocabSize: number;
  /** The most tokens that the model sees at once. */
  blockSize: number;
  nLayer: number;
  nHead: number;
  /** The width of the residual stream: the numbers that stand for a token. */
  nEmbd: number;
  /** The probability of dropout on attention weights, projections and the MLP's output. */
  dropout: number;
  /** Dropout on the sum of embeddings too. */
  embeddingDropout: boolean;
  /** Biases in linear layers and normalizations. */
  bias: boolean;
  /** A bias in the projection to queries, keys and values; as `bias` unless given. */
  qkvBias: boolean;
  /** The head is the token embedding, transposed. */
  tieWeights: boolean;
  lmHeadBias: boolean;
  activation: (typeof activations)[number];
  positions: (typeof positionKinds)[number];
  norm: (typeof norms)[number];
  /**
   * Starts the projections that add to the residual stream smaller, by sqrt(2 nLayer), as GPT-2
   * does.
   */
  scaleResidual: boolean;
}

/** What must be given, and what may be. */
export type GPTOptions = Pick<GPTConfig, "vocabSize" | "blockSize" | "nLayer" | "nHead" | "nEmbd"> &
  Partial<GPTConfig>;

const defaults = {
  dropout: 0,
  embeddingDropout: false,
  bias: true,
  tieWeights: true,
  lmHeadBias: false,
  activation: "gelu",
  positions: "learned",
  norm: "layer",
  scaleResidual: true,
} as const;

/** Fills in what is not given; throws where a value makes no model. */
export function configure(options: GPTOptions): GPTConfig {
  checkOptions("GPT", options, [...sizes, ...Object.keys(defaults), "qkvBias"]);
  const qkvBias = options.bias ?? defaults.bias;
  const config: GPTConfig = { ...defaults, qkvBias, ...defined(options) };
  for (const key of sizes)
    if (!Number.isInteger(config[key]) || config[key] < 1)
      fail(`GPT: ${key} is ${config[key]}, expected a whole number from 1 up`);
  if (config.nEmbd % config.nHead !== 0)
    fail(`GPT: nEmbd is ${config.nEmbd}, expected a multiple of nHead, ${config.nHead}`);
  for (const [key, value] of Object.entries({ ...defaults, qkvBias }))
    if (typeof config[key as keyof GPTConfig] !== typeof value)
      fail(`GPT: ${key} is ${config[key as keyof GPTConfig]}, expected a ${typeof value}`);
  if (!(config.dropout >= 0 && config.dropout < 1))
    fail(`GPT: dropout is ${config.dropout}, expected 0 up to 1`);
  const choices = { activation: activations, positions: positionKinds, norm: norms };
  for (const [key, allowed] of Object.entries(choices)) {
    const value = config[key as keyof typeof choices];
    if (!(allowed as readonly string[]).includes(value))
      fail(`GPT: ${key} is ${value}, expected ${allowed.join(", ")}`);
  }
  if (config.positions === "rotary" && (config.nEmbd / config.nHead) % 2 !== 0)
    fail(`GPT: nEmbd / nHead is ${config.nEmbd / config.nHead}, expected an even number of rotary`);
  return config;
}

const sizes = ["vocabSize", "blockSize", "nLayer", "nHead", "nEmbd"] as const;
