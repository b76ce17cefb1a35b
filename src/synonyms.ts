// Names that other programs use for options and values. An unknown name is still an error, but the
// message can say what it is called here.

/** Flags without dashes, and what to write instead: the first that the command has. */
const flagSynonyms: Readonly<Record<string, readonly string[]>> = {
  // PyTorch, nanoGPT and Hugging Face transformers
  lr: ["learning-rate"],
  steps: ["max-iters", "iters"],
  iters: ["max-iters"],
  iterations: ["max-iters", "iters"],
  "max-steps": ["max-iters"],
  "num-steps": ["max-iters"],
  "train-steps": ["max-iters"],
  "num-iters": ["max-iters"],
  "max-iterations": ["max-iters"],
  bs: ["batch-size"],
  batch: ["batch-size"],
  "per-device-train-batch-size": ["batch-size"],
  context: ["block-size"],
  "context-length": ["block-size"],
  "context-size": ["block-size"],
  ctx: ["block-size"],
  "n-ctx": ["block-size"],
  "n-positions": ["block-size"],
  "seq-len": ["block-size"],
  "seq-length": ["block-size"],
  "sequence-length": ["block-size"],
  "max-seq-len": ["block-size"],
  layers: ["n-layer"],
  "n-layers": ["n-layer"],
  "num-layers": ["n-layer"],
  blocks: ["n-layer"],
  heads: ["n-head"],
  "n-heads": ["n-head"],
  "num-heads": ["n-head"],
  dim: ["n-embd"],
  "d-model": ["n-embd"],
  "embed-dim": ["n-embd"],
  "embedding-dim": ["n-embd"],
  "n-embed": ["n-embd"],
  "hidden-size": ["n-embd"],
  wd: ["weight-decay"],
  warmup: ["warmup-iters"],
  "warmup-steps": ["warmup-iters"],
  "warmup-ratio": ["warmup-share"],
  "decay-ratio": ["decay-share"],
  "decay-lr": ["lr-decay-iters"],
  scheduler: ["schedule"],
  "lr-schedule": ["schedule"],
  "lr-scheduler": ["schedule"],
  "lr-scheduler-type": ["schedule"],
  optim: ["optimizer"],
  ema: ["ema-decay"],
  "max-time": ["max-seconds"],
  "time-limit": ["max-seconds"],
  "time-budget": ["max-seconds"],
  seconds: ["max-seconds"],
  "clip-grad": ["grad-clip"],
  "max-grad-norm": ["grad-clip"],
  "gradient-accumulation-steps": ["grad-accum"],
  "accumulation-steps": ["grad-accum"],
  "log-every": ["log-interval"],
  "eval-every": ["eval-interval"],
  "eval-steps": ["eval-interval", "iters"],
  "eval-batches": ["eval-iters", "iters"],
  text: ["data", "prompt"],
  input: ["data", "from", "prompt"],
  file: ["data"],
  dataset: ["data"],
  "train-file": ["data"],
  output: ["out", "csv"],
  "output-dir": ["out"],
  "out-dir": ["out"],
  "save-dir": ["out"],
  dir: ["out", "run", "folder"],
  name: ["out"],
  continue: ["resume"],
  run: ["resume"],
  checkpoint: ["resume"],
  ckpt: ["resume", "checkpoint"],
  pretrained: ["init-from"],
  finetune: ["init-from"],
  "fine-tune": ["init-from"],
  base: ["init-from"],
  lora: ["lora-rank N"],
  config: ["preset"],
  vocab: ["vocab-size"],
  // makers of token shards: llm.c, datatrove, Megatron-LM
  "shard-size": ["shard-tokens"],
  "tokens-per-shard": ["shard-tokens"],
  "num-workers": ["workers"],
  "num-proc": ["workers"],
  jobs: ["workers"],
  "json-key": ["field"],
  "json-keys": ["field"],
  "text-key": ["field"],
  "text-column": ["field"],
  separator: ["document-separator"],
  delimiter: ["document-separator"],
  "val-split": ["val-share"],
  "val-ratio": ["val-share"],
  "validation-split": ["val-share"],
  "test-size": ["val-share"],
  wandb: ["tensorboard"],
  "wandb-log": ["tensorboard"],
  gpu: ["device cuda"],
  cuda: ["device cuda"],
  cpu: ["device cpu"],
  bf16: ["dtype bf16"],
  fp16: ["dtype bf16"],
  amp: ["dtype bf16"],
  "mixed-precision": ["dtype bf16"],
  precision: ["matmul-precision", "dtype"],
  rope: ["positions rotary"],
  "qk-layernorm": ["qk-norm"],
  "use-qk-norm": ["qk-norm"],
  softcap: ["logit-softcap"],
  "final-logit-softcapping": ["logit-softcap"],
  "zero-init": ["zero-init-projections"],
  // sampling
  temp: ["temperature"],
  start: ["prompt"],
  "max-tokens": ["tokens"],
  "max-new-tokens": ["tokens"],
  "num-tokens": ["tokens"],
  "n-predict": ["tokens"],
  length: ["tokens", "block-size"],
  n: ["tokens"],
  model: ["run", "from"],
  resume: ["run"],
  folder: ["run"],
  out: ["run"],
  quant: ["bits"],
  // other programs
  cores: ["threads"],
  workers: ["threads"],
  silent: ["quiet"],
  usage: ["help"],
};

/** The reasons why options do not exist, and the options to use instead. */
const explanations: Readonly<Record<string, { option: string; text: string }>> = {
  epochs: {
    option: "max-iters",
    text:
      "training is counted in steps: --max-iters N; " +
      "one epoch is (tokens of the training split) / (batch-size x block-size) steps",
  },
};

/** Values of options with choices. */
const valueSynonyms: Readonly<Record<string, string>> = {
  gpu: "cuda",
  nvidia: "cuda",
  "cuda:0": "cuda",
  native: "cpu",
  node: "ts",
  js: "ts",
  javascript: "ts",
  typescript: "ts",
  fp32: "f32",
  float32: "f32",
  float: "f32",
  bfloat16: "bf16",
  fp16: "bf16",
  float16: "bf16",
  half: "bf16", // words-ok: PyTorch's name of fp16
  rope: "rotary",
  sinusoid: "sinusoidal",
  layernorm: "layer",
  rmsnorm: "rms",
  swish: "silu",
  gelu_new: "gelu-tanh",
  adam: "adamw",
  "warmup-stable-decay": "wsd",
  warmup_stable_decay: "wsd",
  "relu^2": "relu2",
  relu_squared: "relu2",
  squared_relu: "relu2",
  chars: "char",
  character: "char",
  words: "word",
  subword: "bpe",
  tiktoken: "gpt2",
  transformer: "gpt",
  latest: "last",
  newest: "last",
};

/**
 * Returns what to write for the flag of another program, or an explanation; undefined if there is
 * none. `known` are the flags of the command, without dashes.
 */
export function findFlagSynonym(
  flag: string,
  known: readonly string[],
): { flag: string } | { explanation: string } | undefined {
  const singular = flag.replace(/s$/, "");
  for (const name of [flag, singular, `${flag}s`]) {
    const explained = Object.hasOwn(explanations, name) ? explanations[name] : undefined;
    if (explained && known.includes(explained.option)) return { explanation: explained.text };
  }
  if (!Object.hasOwn(flagSynonyms, flag)) return undefined;
  const found = flagSynonyms[flag].find((candidate) => known.includes(candidate.split(" ")[0]));
  return found === undefined ? undefined : { flag: found };
}

/** Returns true if another program has an option of this name, without dashes. */
export function isFlagSynonym(flag: string): boolean {
  return Object.hasOwn(flagSynonyms, flag) || Object.hasOwn(explanations, flag);
}

/** Returns the choice that a value of another program stands for; undefined if there is none. */
export function findValueSynonym(value: string, choices: readonly string[]): string | undefined {
  const name = value.toLowerCase();
  const found = Object.hasOwn(valueSynonyms, name) ? valueSynonyms[name] : undefined;
  return found !== undefined && choices.includes(found) ? found : undefined;
}
