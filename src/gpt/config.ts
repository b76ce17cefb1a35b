// The options of a GPT: types, defaults and validation.

import { checkCount, checkOptions, defined, fail } from "../errors.ts";
import { type AttentionOptions, checkHeads } from "../nn/attention.ts";
import { defaultMLPWidth } from "../nn/blocks.ts";

/** Activations of the MLP. */
export const activations = [
  "relu",
  "relu2",
  "gelu",
  "gelu-tanh",
  "silu",
  "tanh",
  "swiglu",
] as const;

/**
 * Position encodings: a learned table, sinusoids (Vaswani et al., 2017), rotated queries and keys
 * (RoPE; Su et al., 2021), or none.
 */
export const positionKinds = ["learned", "sinusoidal", "rotary", "none"] as const;

/** Normalizations of the residual stream: layerNorm or rmsNorm. */
export const norms = ["layer", "rms"] as const;

/** Sizes and settings of a GPT. */
export interface GPTConfig {
  /** The number of token ids. */
  vocabSize: number;
  /** The maximum context length in tokens. */
  blockSize: number;
  /** The number of blocks. */
  nLayer: number;
  /** The number of attention heads, a divisor of nEmbd. */
  nHead: number;
  /** The number of heads of keys and values: grouped-query attention; nHead by default. */
  nKvHead: number;
  /** The size of a head; nEmbd / nHead by default. */
  headDim: number;
  /** The width of the residual stream, and of the embeddings. */
  nEmbd: number;
  /** The width of the MLP's hidden layer; by default 4 nEmbd, or about 8/3 nEmbd with swiglu. */
  mlpWidth: number;
  /** The dropout probability on attention weights, projections and the MLP's output. */
  dropout: number;
  /** Applies dropout to the sum of the embeddings as well. */
  embeddingDropout: boolean;
  /** Biases in linear layers and normalizations. */
  bias: boolean;
  /** A bias in the projection to queries, keys and values; equals `bias` by default. */
  qkvBias: boolean;
  /** The head shares its weight with the token embedding. */
  tieWeights: boolean;
  /** A bias in the output layer. */
  lmHeadBias: boolean;
  /** The activation of the MLP. */
  activation: (typeof activations)[number];
  /** The position encoding. */
  positions: (typeof positionKinds)[number];
  /** The base of the frequencies of rotary positions. */
  ropeTheta: number;
  /** The factor of Llama 3.1 by which slow rotary frequencies are divided; see RotaryOptions. */
  ropeScaling: number;
  /** The norm: layerNorm or rmsNorm. */
  norm: (typeof norms)[number];
  /** Added to the variance, or to the mean square, in normalizations. */
  normEps: number;
  /** Divides the queries and keys of each head by their root mean square; see qkNorm(). */
  qkNorm: boolean;
  /** Multiplies the normalized queries and keys by a learned weight each, as Qwen3 does. */
  qkNormWeight: boolean;
  /** Adds a part of the previous token to the inputs of attention and MLP; see nn.TokenShift. */
  tokenShift: boolean;
  /** Caps the logits at cap tanh(logits / cap); 0: no cap. Gemma Team (2024). */
  logitSoftcap: number;
  /** Divides the initial weights of residual projections by sqrt(2 nLayer), as GPT-2 does. */
  scaleResidual: boolean;
  /** Starts residual projections at 0, so that each block starts as the identity. */
  zeroInitProjections: boolean;
}

/**
 * The longest context in tokens. A computed table of positions and the KV cache have as many rows,
 * and no file holds their sizes, so a damaged config.json must not choose them.
 */
export const MAX_BLOCK_SIZE = 2 ** 20;

/** The largest softcap of the logits, which are far smaller. One of 1e39 is infinite in f32. */
export const MAX_SOFTCAP = 1e6;

const sizeNames = ["vocabSize", "blockSize", "nLayer", "nHead", "nEmbd"] as const;

const defaults = {
  dropout: 0,
  embeddingDropout: false,
  bias: true,
  tieWeights: true,
  lmHeadBias: false,
  activation: "gelu",
  positions: "learned",
  ropeTheta: 10_000,
  ropeScaling: 1,
  norm: "layer",
  normEps: 1e-5,
  qkNorm: false,
  qkNormWeight: false,
  tokenShift: false,
  logitSoftcap: 0,
  scaleResidual: true,
  zeroInitProjections: false,
} as const;

/** The options of a GPT: the sizes are required, all others have defaults. */
export type GPTOptions = Pick<GPTConfig, (typeof sizeNames)[number]> & Partial<GPTConfig>;

/** The options whose default depends on others; see deriveOptions(). */
const derivedNames = ["qkvBias", "nKvHead", "headDim", "mlpWidth"] as const;
type DerivedName = (typeof derivedNames)[number];

/** The names of all options. A training configuration has options with the same names. */
export const gptOptionNames: readonly (keyof GPTConfig)[] = [
  ...sizeNames,
  ...(Object.keys(defaults) as (keyof typeof defaults)[]),
  ...derivedNames,
];

/** Extracts the options of a GPT from a larger configuration, such as that of a run. */
export function pickGPTOptions<T extends Partial<GPTConfig>>(config: T): Pick<T, keyof GPTConfig> {
  const entries = gptOptionNames.map((name) => [name, config[name]]);
  return Object.fromEntries(entries);
}

/** Options of a GPT that have values by default, and those that depend on them. */
type DerivableOptions = Pick<GPTConfig, "nHead" | "nEmbd" | "bias" | "activation"> &
  Partial<Pick<GPTConfig, DerivedName>>;

/** Returns the options whose default depends on others, with their values or defaults. */
export function deriveOptions(options: DerivableOptions): Pick<GPTConfig, DerivedName> {
  const { nHead, nEmbd, bias, activation } = options;
  return {
    qkvBias: options.qkvBias ?? bias,
    nKvHead: options.nKvHead ?? nHead,
    headDim: options.headDim ?? nEmbd / nHead,
    mlpWidth: options.mlpWidth ?? defaultMLPWidth(nEmbd, activation),
  };
}

/** Returns the options of the attention layers of a GPT. */
export function pickAttentionOptions(config: GPTConfig): AttentionOptions {
  const { nEmbd, nHead, nKvHead, headDim, bias, qkvBias, dropout } = config;
  const { qkNorm, qkNormWeight, normEps } = config;
  return {
    nEmbd,
    nHead,
    nKvHead,
    headDim,
    bias,
    qkvBias,
    dropout,
    qkNorm,
    qkNormWeight,
    normEps,
  };
}

/** Returns the options with defaults filled in. Throws if a value is invalid. */
export function configure(options: GPTOptions): GPTConfig {
  checkOptions("GPT", options, gptOptionNames);
  const chosen: Omit<GPTConfig, DerivedName> & GPTOptions = { ...defaults, ...defined(options) };
  const config: GPTConfig = { ...chosen, ...deriveOptions(chosen) };
  for (const key of sizeNames) checkCount("GPT", key, config[key]);
  if (config.blockSize > MAX_BLOCK_SIZE)
    fail(`GPT: blockSize is ${config.blockSize}, expected at most ${MAX_BLOCK_SIZE}`);
  checkHeads("GPT", { ...config, headDim: options.headDim });
  checkCount("GPT", "mlpWidth", config.mlpWidth);
  for (const [key, value] of Object.entries({ ...defaults, qkvBias: true }))
    if (typeof config[key as keyof GPTConfig] !== typeof value)
      fail(`GPT: ${key} is ${config[key as keyof GPTConfig]}, expected a ${typeof value}`);
  if (!(config.dropout >= 0 && config.dropout < 1))
    fail(`GPT: dropout is ${config.dropout}, expected a number from 0 to below 1`);
  for (const key of ["ropeTheta", "ropeScaling", "normEps"] as const)
    if (!(config[key] > 0 && Number.isFinite(config[key])))
      fail(`GPT: ${key} is ${config[key]}, expected a number above 0`);
  if (config.qkNormWeight && !config.qkNorm)
    fail("GPT: qkNormWeight is true, expected false, or qkNorm true as well");
  checkSoftcap("GPT", config.logitSoftcap);
  const choices = { activation: activations, positions: positionKinds, norm: norms };
  for (const [key, allowed] of Object.entries(choices)) {
    const value = config[key as keyof typeof choices];
    if (!(allowed as readonly string[]).includes(value))
      fail(`GPT: ${key} is ${value}, expected ${allowed.join(", ")}`);
  }
  if (config.positions === "rotary" && config.headDim % 2 !== 0) {
    const name = options.headDim === undefined ? "nEmbd / nHead" : "headDim";
    fail(`GPT: ${name} is ${config.headDim}, expected an even number for rotary positions`);
  }
  return config;
}

/** Throws unless a logit softcap is 0 or a number that f32 can divide by. */
export function checkSoftcap(op: string, cap: number): void {
  if (!(typeof cap === "number" && cap >= 0 && cap <= MAX_SOFTCAP))
    fail(`${op}: logitSoftcap is ${cap}, expected a number from 0 to ${MAX_SOFTCAP}`);
}
