// The type of the configuration of a run, and the values of its options that are names.

import type { DataOrder } from "../data/order.ts";
import type { GPTConfig } from "../gpt/config.ts";
import type { presets } from "../gpt/presets.ts";
import type { TokenizerKind } from "../tokenizers/registry.ts";
import type { LengthOptions } from "./levels.ts";

export const deviceNames = ["auto", "cuda", "cpu", "wasm", "ts", "cuda-emulator"] as const;
export const dtypes = ["f32", "tf32", "bf16"] as const;
export const precisions = ["highest", "medium"] as const;
export const modelKinds = ["gpt", "bigram"] as const;
export const decayKinds = ["all", "matrices"] as const;
export const optimizers = ["adamw", "muon"] as const;
export const schedules = ["cosine", "linear", "wsd"] as const;

/** GPT options whose default depends on others, such as the tokenizer or `bias`. */
type DerivedOption = "vocabSize" | "qkvBias" | "nKvHead" | "headDim" | "mlpWidth";

/** The configuration of a run: the options of the model and of its training. */
export interface TrainConfig
  extends Omit<GPTConfig, DerivedOption>,
    Partial<Pick<GPTConfig, DerivedOption>>,
    LengthOptions {
  /** A known configuration to start from; other options override it. */
  preset?: keyof typeof presets;
  /** Training text: a file, or the name of a text; or token shards: a folder or DIR/*.bin. */
  data?: string;
  /** Order of the data: random sequences, or epochs, which use each token once. */
  dataOrder: DataOrder;
  /** The kind of the tokenizer. */
  tokenizer: TokenizerKind;
  /** Output folder of the run (default: a new folder under runs/). */
  out?: string;
  /** Fine-tune the model of a run, or of a Hugging Face GPT-2 folder. */
  initFrom?: string;
  /** With initFrom: add the text's new characters to the vocabulary. */
  extendVocab: boolean;
  /** Freeze the embeddings and the first blocks, this many. */
  freeze?: number;
  /** With initFrom: train only LoRA adapters of this rank in the linear layers of blocks. */
  loraRank?: number;
  /** LoRA scaling: adapters are scaled by loraAlpha / rank (default: the rank). */
  loraAlpha?: number;
  /** The device; auto selects the fastest available. */
  device: (typeof deviceNames)[number];
  /** Precision; tf32 and bf16 require cuda. */
  dtype: (typeof dtypes)[number];
  /**
   * Precision of f32 matmuls; medium rounds their operands to bf16 on processors that multiply it
   * (cuda: to tf32).
   */
  matmulPrecision: (typeof precisions)[number];
  /** The random seed. */
  seed: number;
  /** Model architecture. */
  model: (typeof modelKinds)[number];
  /** Sequences per batch. */
  batchSize: number;
  /** Gradient accumulation: batches per optimizer step. */
  gradAccum: number;
  /** The steps between evaluations, each with a checkpoint. */
  evalInterval: number;
  /** The batches per split in an evaluation. */
  evalIters: number;
  /** The steps between logged metrics. */
  logInterval: number;
  /** Optimizer; muon updates the matrices of blocks by Muon and all else by AdamW. */
  optimizer: (typeof optimizers)[number];
  /** Peak learning rate. */
  learningRate: number;
  /** Final learning rate of the decay. */
  minLr: number;
  /** Learning rate of embeddings, as a multiple of the base rate. */
  embeddingLrScale: number;
  /** Learning rate of an untied output head, as a multiple of the base rate. */
  headLrScale: number;
  /** Learning rate of biases and norms, as a multiple of the base rate. */
  vectorLrScale: number;
  /** The decay of weights. */
  weightDecay: number;
  /** Parameters that weight decay applies to. */
  decay: (typeof decayKinds)[number];
  /** Beta1 of AdamW. */
  beta1: number;
  /** Beta2 of AdamW. */
  beta2: number;
  /** Momentum of Muon. */
  muonMomentum: number;
  /** Newton-Schulz iterations of Muon. */
  muonNsSteps: number;
  /** Gradient-norm clipping threshold; 0 disables clipping. */
  gradClip: number;
  /**
   * Decay of an exponential moving average of the weights, which is evaluated and saved instead of
   * them; 0: none.
   */
  emaDecay: number;
}
