// Builds the tokenizer, the model and the optimizer that a run's configuration describes.

import type { Device } from "../backend/device.ts";
import { splitText } from "../data/batches.ts";
import { BigramLanguageModel } from "../gpt/bigram.ts";
import { pickGPTOptions } from "../gpt/config.ts";
import type { LanguageModel } from "../gpt/language-model.ts";
import { GPT } from "../gpt/model.ts";
import { quantizedGPT } from "../gpt/quantize.ts";
import type { StateDict } from "../nn/index.ts";
import type { Bits } from "../ops/quantized.ts";
import { AdamW } from "../optim/index.ts";
import { Generator, useGenerator } from "../random.ts";
import { trainTokenizer } from "../tokenizers/registry.ts";
import type { Tokenizer } from "../tokenizers/tokenizer.ts";
import type { TrainConfig } from "../train/config.ts";
import { initializeFrom, type Pretrained } from "../train/finetune.ts";

/**
 * Builds a tokenizer for a text. Word and BPE vocabularies are learned from the training split.
 * Characters come from the whole text, as in nanoGPT, so the validation split has no unknown ones.
 */
export function buildTokenizer(
  kind: Parameters<typeof trainTokenizer>[0],
  vocabSize: number | undefined,
  text: string,
): Tokenizer {
  const usesWholeText = kind === "char" || kind === "ids";
  return trainTokenizer(kind, usesWholeText ? text : splitText(text).train, vocabSize);
}

interface BuildOptions {
  /** False leaves the weights at 0, for a model whose weights are loaded afterwards. */
  initWeights?: boolean;
  /** Builds a quantized model. */
  bits?: Bits;
  /** The quantized matrices of that model, which it uses without copying them. */
  dict?: StateDict;
}

/**
 * Builds a model on a device in its state before the first training step. The weights are
 * initialized from the seed or copied from a pretrained model, parameters are frozen, and LoRA
 * adapters are added.
 */
export function buildModel(
  config: TrainConfig,
  vocabSize: number,
  device: Device,
  pretrained: Pretrained | null,
  options: BuildOptions = {},
): LanguageModel {
  return useGenerator(new Generator(config.seed), () => {
    const model = createModel(config, vocabSize, options).to(device);
    applyDType(model, config, device);
    initializeFrom(model, config, pretrained);
    return model;
  });
}

function createModel(
  config: TrainConfig,
  vocabSize: number,
  { initWeights, bits, dict }: BuildOptions,
): LanguageModel {
  if (config.model === "bigram") return new BigramLanguageModel(vocabSize, config.blockSize);
  const options = { ...pickGPTOptions(config), vocabSize };
  return bits ? quantizedGPT(options, bits, dict) : new GPT(options, { initWeights });
}

/** Sets the precision of the computation; devices without bf16 and tf32 use f32. */
function applyDType(model: LanguageModel, { dtype }: TrainConfig, device: Device): void {
  device.setTf32(dtype === "tf32");
  if (dtype === "bf16" && !device.memory.isHost) model.to("bf16");
}

/**
 * Builds AdamW over all trainable parameters. With decay "matrices", biases and normalization
 * weights get no weight decay.
 */
export function buildOptimizer(config: TrainConfig, model: LanguageModel): AdamW {
  const { learningRate, beta1, beta2, weightDecay } = config;
  const trainable = [...model.parameters()].filter((w) => w.requiresGrad);
  const hasDecay = (w: { shape: readonly number[] }) =>
    config.decay === "all" || w.shape.length >= 2;
  const groups = [
    { params: trainable.filter((w) => hasDecay(w)) },
    { params: trainable.filter((w) => !hasDecay(w)), weightDecay: 0 },
  ].filter(({ params }) => params.length > 0);
  return new AdamW(groups, { lr: learningRate, betas: [beta1, beta2], weightDecay });
}
