// The settings of the playground: those options of a training run that its page offers, their
// limits, and the presets. All other options have fixed values here, or the program's defaults.

import { quote, UsageError } from "../errors.ts";
import { activations, type GPTConfig, positionKinds } from "../gpt/config.ts";
import { resolveConfig, type TrainConfig } from "../train/config.ts";

/** The built-in texts, and "own" for a text that the user has pasted or opened. */
export const textNames = ["names", "moby-dick", "own"] as const;
export type TextName = (typeof textNames)[number];

/** The tokenizers that the page offers. The program has more. */
export const tokenizers = ["char", "word", "bpe"] as const;

/** The settings of a run in the page, under the names that the program's options have. */
export interface Settings extends Pick<GPTConfig, "nLayer" | "nHead" | "nEmbd" | "blockSize"> {
  text: TextName;
  tokenizer: (typeof tokenizers)[number];
  /** The size of the vocabulary of a word or BPE tokenizer. */
  vocabSize: number;
  batchSize: number;
  learningRate: number;
  maxIters: number;
  dropout: number;
  weightDecay: number;
  activation: GPTConfig["activation"];
  positions: GPTConfig["positions"];
  seed: number;
}

export type NumericSetting = {
  [K in keyof Settings]: Settings[K] extends number ? K : never;
}[keyof Settings];

/**
 * The values of each number that a slider selects, in order. A link may contain any value between
 * the first and the last one.
 */
export const sliderValues: Record<NumericSetting, readonly number[]> = {
  nLayer: [1, 2, 3, 4, 6, 8, 12],
  nHead: [1, 2, 4, 8, 16],
  nEmbd: [16, 32, 48, 64, 96, 128, 192, 256, 384, 512],
  blockSize: [8, 16, 32, 64, 128, 256, 512],
  vocabSize: [256, 512, 1024, 2048, 4096, 8192],
  batchSize: [1, 2, 4, 8, 16, 32, 64, 128],
  learningRate: [1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 3e-3, 4e-3, 6e-3, 1e-2, 2e-2, 5e-2, 0.1],
  maxIters: [500, 1000, 2000, 3000, 5000, 10_000, 20_000, 50_000, 100_000],
  dropout: [0, 0.05, 0.1, 0.2, 0.3, 0.5],
  weightDecay: [0, 0.01, 0.03, 0.1, 0.3, 1],
  seed: [0, 2 ** 32 - 1],
};

const choices = {
  text: textNames,
  tokenizer: tokenizers,
  activation: activations,
  positions: positionKinds,
} as const;

/** The settings that a link contains, in the order of the page. */
export const settingNames = [
  ...Object.keys(choices),
  ...Object.keys(sliderValues),
] as (keyof Settings)[];

const shared = {
  text: "names",
  tokenizer: "char",
  vocabSize: 1024,
  dropout: 0,
  weightDecay: 0.1,
  activation: "gelu",
  positions: "learned",
  seed: 1337,
} as const;

/** The sizes of models to begin with. "small" has those of the program's preset lecture-0.2m. */
export const presets = {
  tiny: {
    ...shared,
    nLayer: 2,
    nHead: 4,
    nEmbd: 32,
    blockSize: 32,
    batchSize: 16,
    learningRate: 1e-2,
    maxIters: 5000,
  },
  small: {
    ...shared,
    nLayer: 4,
    nHead: 4,
    nEmbd: 64,
    blockSize: 32,
    batchSize: 16,
    learningRate: 4e-3,
    maxIters: 5000,
  },
  medium: {
    ...shared,
    nLayer: 4,
    nHead: 4,
    nEmbd: 96,
    blockSize: 64,
    batchSize: 8,
    learningRate: 3e-3,
    maxIters: 10_000,
  },
  large: {
    ...shared,
    nLayer: 6,
    nHead: 8,
    nEmbd: 128,
    blockSize: 128,
    batchSize: 8,
    learningRate: 2e-3,
    maxIters: 20_000,
  },
} as const satisfies Record<string, Settings>;

export const defaultSettings: Settings = presets.small;

/**
 * Returns the configuration of a run with these settings, as config.json records it. Throws a
 * UsageError if the page does not offer a value, or if the program does not accept it.
 */
export function toConfig(settings: Settings): TrainConfig {
  checkSettings(settings);
  const { text: _, vocabSize, ...options } = settings;
  return resolveConfig("settings", {
    ...options,
    vocabSize: settings.tokenizer === "char" ? undefined : vocabSize,
    data: `${settings.text}.txt`,
    device: "auto",
    minLr: settings.learningRate / 10,
    warmupIters: Math.min(100, settings.maxIters),
    lrDecayIters: settings.maxIters,
    gradClip: 1,
    evalInterval: 100,
    evalIters: 8,
  });
}

/** Throws a UsageError that names the first value that the page does not offer. */
function checkSettings(settings: Settings): void {
  const problem = (name: string, expected: string) => {
    const value = quote(settings[name as keyof Settings]);
    return new UsageError(`settings: ${name} is ${value}, expected ${expected}`);
  };
  for (const [name, allowed] of Object.entries(choices)) {
    if (!(allowed as readonly unknown[]).includes(settings[name as keyof Settings]))
      throw problem(name, allowed.join(", "));
  }
  for (const [name, values] of Object.entries(sliderValues)) {
    const value = settings[name as NumericSetting];
    const low = values[0];
    const high = values[values.length - 1];
    if (!(value >= low && value <= high)) throw problem(name, `a number from ${low} to ${high}`);
  }
}

/** Returns the settings that a configuration, of the page or of the program, corresponds to. */
export function fromConfig(config: TrainConfig): Settings {
  const settings: Record<string, unknown> = { ...defaultSettings, text: "own" };
  for (const name of settingNames) {
    const value = config[name as keyof TrainConfig];
    if (value !== undefined) settings[name] = value;
  }
  const text = textNames.find((name) => config.data === `${name}.txt`);
  if (text) settings.text = text;
  return settings as unknown as Settings;
}
