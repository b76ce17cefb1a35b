// The models that are measured: presets, with their sizes under the letters of the sources.

import { type Device, GPT, type GPTOptions, optim, presets, type Tensor } from "tinybard";
import { getDefaults } from "#src/options.js";
import { type TrainConfig, trainOptions } from "#src/train/config.js";

function configOf(preset: string): TrainConfig {
  return { ...getDefaults<TrainConfig>(trainOptions), ...presets[preset as keyof typeof presets] };
}

/** Is it the name of a preset that is a GPT? */
export function isGPT(preset: string): boolean {
  return Object.hasOwn(presets, preset) && configOf(preset).model === "gpt";
}

/** B sequences of T tokens out of V, M in all, C numbers for each; H heads of D. */
export function sizesOf(preset: string) {
  const config = configOf(preset);
  const { batchSize: B, blockSize: T, nEmbd: C, nHead: H, activation, bias } = config;
  const V = config.tokenizer === "gpt2" ? 50257 : 65; // else the characters of Tiny Shakespeare
  const { dropout } = config;
  return { preset, B, T, C, H, V, D: C / H, M: B * T, activation, bias, dropout };
}
export type Sizes = ReturnType<typeof sizesOf>;

/** Those of a laptop, or those that TINYBARD_BENCH_MODELS lists. */
export const models = (process.env.TINYBARD_BENCH_MODELS ?? "lecture-0.2m,nanogpt-cpu,lecture-2.7m")
  .split(",")
  .map(sizesOf);

/** What a preset says of its model. */
export function modelOptions(preset: string): GPTOptions {
  const { blockSize, nLayer, nHead, nEmbd, dropout, embeddingDropout, bias, ...rest } =
    configOf(preset);
  const { qkvBias = bias, tieWeights, lmHeadBias, activation, scaleResidual } = rest;
  const sizes = { vocabSize: sizesOf(preset).V, blockSize, nLayer, nHead, nEmbd };
  const parts = { bias, qkvBias, tieWeights, lmHeadBias, activation, scaleResidual };
  return { ...sizes, dropout, embeddingDropout, ...parts };
}

/** The model of a preset and its optimizer, as training makes them. */
export function build(preset: string, device: Device): { model: GPT; optimizer: optim.AdamW } {
  const model = new GPT(modelOptions(preset)).to(device);
  const { learningRate: lr, beta1, beta2, weightDecay, decay } = configOf(preset);
  const decays = ({ shape }: Tensor) => decay === "all" || shape.length >= 2;
  const all = [...model.parameters()];
  const groups = [
    { params: all.filter(decays) },
    { params: all.filter((w) => !decays(w)), weightDecay: 0 },
  ].filter(({ params }) => params.length > 0);
  return { model, optimizer: new optim.AdamW(groups, { lr, betas: [beta1, beta2], weightDecay }) };
}
