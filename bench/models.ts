// The models of the benchmarks: presets, and their sizes by the letters that the kernels use.

import { type Device, GPT, type GPTOptions, optim, presets, type Tensor } from "tinybard";
import { getDefaults } from "#src/options.js";
import { type TrainConfig, trainOptions } from "#src/train/config.js";

function getConfig(preset: string): TrainConfig {
  return { ...getDefaults<TrainConfig>(trainOptions), ...presets[preset as keyof typeof presets] };
}

/** Returns true if the name is a preset of a GPT. */
export function isGPT(preset: string): boolean {
  return Object.hasOwn(presets, preset) && getConfig(preset).model === "gpt";
}

/**
 * Returns the sizes of a preset: batch size B, block size T, tokens M = B T, vocabulary size V,
 * channels C, heads H and head size D.
 */
export function getSizes(preset: string) {
  const config = getConfig(preset);
  const { batchSize: B, blockSize: T, nEmbd: C, nHead: H, activation, bias, dropout } = config;
  const V = config.tokenizer === "gpt2" ? 50257 : 65; // the characters of Tiny Shakespeare
  return { preset, B, T, C, H, V, D: C / H, M: B * T, activation, bias, dropout };
}
export type Sizes = ReturnType<typeof getSizes>;

/** The models in TINYBARD_BENCH_MODELS, or by default three that suit a laptop. */
export const models = (process.env.TINYBARD_BENCH_MODELS ?? "lecture-0.2m,nanogpt-cpu,lecture-2.7m")
  .split(",")
  .map(getSizes);

/** Returns the model options of a preset. */
export function getModelOptions(preset: string): GPTOptions {
  const config = getConfig(preset);
  return {
    vocabSize: getSizes(preset).V,
    blockSize: config.blockSize,
    nLayer: config.nLayer,
    nHead: config.nHead,
    nEmbd: config.nEmbd,
    dropout: config.dropout,
    embeddingDropout: config.embeddingDropout,
    bias: config.bias,
    qkvBias: config.qkvBias ?? config.bias,
    tieWeights: config.tieWeights,
    lmHeadBias: config.lmHeadBias,
    activation: config.activation,
    scaleResidual: config.scaleResidual,
  };
}

/** Builds the model of a preset and its optimizer, as training does. */
export function buildModel(preset: string, device: Device): { model: GPT; optimizer: optim.AdamW } {
  const model = new GPT(getModelOptions(preset)).to(device);
  const { learningRate: lr, beta1, beta2, weightDecay, decay } = getConfig(preset);
  const hasDecay = ({ shape }: Tensor) => decay === "all" || shape.length >= 2;
  const parameters = [...model.parameters()];
  const groups = [
    { params: parameters.filter(hasDecay) },
    { params: parameters.filter((w) => !hasDecay(w)), weightDecay: 0 },
  ].filter(({ params }) => params.length > 0);
  return { model, optimizer: new optim.AdamW(groups, { lr, betas: [beta1, beta2], weightDecay }) };
}
