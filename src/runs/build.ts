// Builds the tokenizer, the model, the optimizer and the average of the weights that a run's
// configuration describes.

import type { Device } from "../backend/device.ts";
import { splitText } from "../data/batches.ts";
import { UsageError } from "../errors.ts";
import { BigramLanguageModel } from "../gpt/bigram.ts";
import { pickGPTOptions } from "../gpt/config.ts";
import type { LanguageModel } from "../gpt/language-model.ts";
import { GPT } from "../gpt/model.ts";
import { quantizedGPT } from "../gpt/quantize.ts";
import type { StateDict } from "../nn/index.ts";
import type { Bits } from "../ops/quantized.ts";
import { AdamW, type AnyOptimizer, CombinedOptimizer, EMA, Muon } from "../optim/index.ts";
import { Generator, useGenerator } from "../random.ts";
import type { Tensor } from "../tensor/tensor.ts";
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

/** Sets the dtype of the computation; devices without bf16 use f32. */
function applyDType(model: LanguageModel, { dtype }: TrainConfig, device: Device): void {
  if (dtype === "bf16" && !device.memory.isHost) model.to("bf16");
}

/** Builds the average of the trainable weights; null if the run has none. */
export function buildEMA({ emaDecay }: TrainConfig, model: LanguageModel): EMA | null {
  return emaDecay > 0 ? new EMA(model, { decay: emaDecay }) : null;
}

type NamedParameter = [name: string, w: Tensor];

/**
 * Builds the optimizer of all trainable parameters: AdamW, or Muon for the matrices of blocks with
 * AdamW for all others.
 */
export function buildOptimizer(config: TrainConfig, model: LanguageModel): AnyOptimizer {
  const { learningRate: lr, beta1, beta2, weightDecay } = config;
  const trainable = [...model.namedParameters()].filter(([, w]) => w.requiresGrad);
  const betas = [beta1, beta2] as const;
  if (config.optimizer === "adamw")
    return new AdamW(groupByRate(config, trainable), { lr, betas, weightDecay });
  const isForMuon = ([name, w]: NamedParameter) => name.startsWith("h.") && w.shape.length === 2;
  const matrices = trainable.filter(isForMuon);
  const others = trainable.filter((parameter) => !isForMuon(parameter));
  if (matrices.length === 0)
    throw new UsageError("optimizer: muon has no matrices to update: no block is trained");
  const muon = new Muon(groupByParts(config, matrices), {
    lr,
    weightDecay,
    momentum: config.muonMomentum,
    nsSteps: config.muonNsSteps,
    adjustLrFn: "match_rms_adamw", // one rate for both
  });
  if (others.length === 0) return new CombinedOptimizer({ muon });
  const adamw = new AdamW(groupByRate(config, others), { lr, betas, weightDecay });
  return new CombinedOptimizer({ muon, adamw });
}

/**
 * Groups parameters by weight decay and learning rate. With decay "matrices", biases and
 * normalization weights get no weight decay. The groups with weight decay come first.
 */
function groupByRate(config: TrainConfig, parameters: NamedParameter[]) {
  const hasDecay = ([, w]: NamedParameter) => config.decay === "all" || w.shape.length >= 2;
  const sorted = [
    ...parameters.filter((parameter) => hasDecay(parameter)),
    ...parameters.filter((parameter) => !hasDecay(parameter)),
  ];
  const groups = new Map<string, { params: Tensor[]; weightDecay: number; lrScale: number }>();
  for (const parameter of sorted) {
    const weightDecay = hasDecay(parameter) ? config.weightDecay : 0;
    const lrScale = getLrScale(config, parameter);
    const key = `${hasDecay(parameter)} ${lrScale}`;
    const group = groups.get(key) ?? { params: [], weightDecay, lrScale };
    group.params.push(parameter[1]);
    groups.set(key, group);
  }
  return [...groups.values()];
}

const embeddings = ["wte.weight", "wpe.weight", "token_embedding_table.weight"];

function getLrScale(config: TrainConfig, [name, w]: NamedParameter): number {
  if (w.shape.length < 2) return config.vectorLrScale;
  if (embeddings.includes(name)) return config.embeddingLrScale;
  return name === "lm_head.weight" ? config.headLrScale : 1;
}

/**
 * Groups matrices by the number of matrices that each holds, such as q, k and v in c_attn. Grouped
 * queries are as many matrices of the size of k as fit into q.
 */
function groupByParts(config: TrainConfig, parameters: NamedParameter[]) {
  const { activation, nHead, nKvHead = nHead } = config;
  const groups = new Map<number, { params: Tensor[]; parts: number }>();
  for (const [name, w] of parameters) {
    let parts = 1;
    if (/\.c_attn\.(weight|lora_B)$/.test(name)) parts = nHead / nKvHead + 2;
    if (/\.c_fc\.(weight|lora_B)$/.test(name) && activation === "swiglu") parts = 2;
    const group = groups.get(parts) ?? { params: [], parts };
    group.params.push(w);
    groups.set(parts, group);
  }
  return [...groups.values()];
}
