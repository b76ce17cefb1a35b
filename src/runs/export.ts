// Exports a run to a folder that Hugging Face transformers loads.

import { join } from "node:path";
import type { Device } from "../backend/device.ts";
import { UsageError } from "../errors.ts";
import { writeJSON } from "../files/durable.ts";
import { writeFolder } from "../files/output.ts";
import { saveGPT2 } from "../gpt/hf-gpt2.ts";
import { saveLlama } from "../gpt/hf-llama.ts";
import { GPT } from "../gpt/model.ts";
import { isQuantized } from "../gpt/quantize.ts";
import { BPETokenizer } from "../tokenizers/bpe/bpe.ts";
import { saveBPE } from "../tokenizers/io.ts";
import type { Pretrained } from "../train/finetune.ts";
import type { CheckpointName } from "./choose.ts";
import { checkOutside } from "./folder.ts";
import { tokenizerFile } from "./import.ts";
import { loadRun } from "./load.ts";

const END_OF_TEXT = "<|endoftext|>";

/** The model types of an export; llama stands for Qwen2 and Qwen3 as well. */
export const exportFormats = ["gpt2", "llama"] as const;
export type ExportFormat = (typeof exportFormats)[number];

/** Options of exportRun(): what to read, and the type of the model in transformers. */
interface ExportOptions {
  device: Device;
  checkpoint?: CheckpointName;
  base?: string;
  /** By default llama for a model with rotary positions, and gpt2 for all others. */
  format?: ExportFormat;
}

/**
 * Writes the model of a run, with its adapters merged, and its tokenizer: byte-pair encoding in the
 * format of transformers, other tokenizers in a file that only importHuggingFace() reads. Throws a
 * UsageError if the format cannot represent the model.
 */
export function exportRun(run: string, out: string, options: ExportOptions): Pretrained {
  const { device, checkpoint, base, format } = options;
  checkOutside(out, run);
  return writeFolder(out, (folder) => {
    const exported = loadRun(run, device, checkpoint && [checkpoint], { base });
    writeModel(folder, run, exported, format);
    return exported;
  });
}

function writeModel(
  folder: string,
  run: string,
  { model, tokenizer }: Pretrained,
  chosen?: ExportFormat,
): void {
  if (!(model instanceof GPT))
    throw new UsageError(`export: the model of ${run} is a bigram model; only a GPT is exported`);
  if (isQuantized(model))
    throw new UsageError(`export: the model of ${run} is quantized; export the original run`);
  const format = chosen ?? (model.config.positions === "rotary" ? "llama" : "gpt2");
  if (format === "llama") checkLlama(model);
  else checkGPT2(model);
  const save = format === "llama" ? saveLlama : saveGPT2;
  if (!(tokenizer instanceof BPETokenizer)) {
    save(folder, model);
    writeJSON(join(folder, tokenizerFile), tokenizer);
    return;
  }
  const { special, steps } = tokenizer.vocabulary;
  const endOfText = special.get(END_OF_TEXT);
  save(folder, model, { endOfText });
  saveBPE(folder, tokenizer);
  // without these settings, transformers adds the token with an id beyond the embedding
  const token = endOfText === undefined ? null : END_OF_TEXT;
  writeJSON(join(folder, "tokenizer_config.json"), {
    // GPT2Tokenizer would replace the steps in tokenizer.json by its own
    tokenizer_class: steps ? "PreTrainedTokenizerFast" : "GPT2Tokenizer",
    bos_token: token,
    eos_token: token,
    unk_token: token,
  });
}

/** Collects what a format cannot represent, with the options to train with instead. */
class Problems {
  readonly #problems: string[] = [];
  readonly #flags: string[] = [];

  check(isPossible: boolean, problem: string, flag: string): void {
    if (isPossible) return;
    this.#problems.push(problem);
    this.#flags.push(flag);
  }

  /** Throws a UsageError if there are any. */
  report(format: string): void {
    if (this.#flags.length === 0) return;
    const remedy = `a model that is trained with ${this.#flags.join(" ")} can be exported`;
    throw new UsageError(`export: ${format} does not have ${this.#problems.join(", ")}; ${remedy}`);
  }
}

/** Throws a UsageError if Llama, Qwen2 and Qwen3 lack an option of the model. */
function checkLlama({ config }: GPT): void {
  const { positions, norm, activation, qkNorm, qkNormWeight, logitSoftcap } = config;
  const { bias, qkvBias, lmHeadBias, tokenShift } = config;
  const problems = new Problems();
  problems.check(positions === "rotary", `${positions} positions`, "--positions rotary");
  problems.check(norm === "rms", `${norm} normalization`, "--norm rms");
  problems.check(activation === "swiglu", activation, "--activation swiglu");
  problems.check(!lmHeadBias, "a bias in the output head", "--no-lm-head-bias");
  problems.check(logitSoftcap === 0, "a softcap of the logits", "--logit-softcap 0");
  problems.check(!tokenShift, "token shift", "--no-token-shift");
  const hasWeights = !qkNorm || qkNormWeight;
  problems.check(hasWeights, "a norm of queries and keys without weights", "--qk-norm-weight");
  problems.check(!qkNorm || !bias, "biases and a norm of queries and keys", "--no-bias");
  const hasOwnBias = qkvBias && !bias;
  problems.check(!qkNorm || !hasOwnBias, "biases of normalized queries", "--no-qkv-bias");
  problems.check(qkvBias || !bias, "biases in all layers but the queries'", "--qkv-bias");
  problems.report("Llama");
}

/** Throws a UsageError if GPT-2 lacks an option of the model. */
function checkGPT2({ config, lm_head: { bias } }: GPT): void {
  const { positions, norm, activation, qkNorm, tokenShift, logitSoftcap } = config;
  const { vocabSize, nEmbd } = config;
  const problems = new Problems();
  problems.check(positions === "learned", `${positions} positions`, "--positions learned");
  problems.check(norm === "layer", `${norm} normalization`, "--norm layer");
  problems.check(activation !== "swiglu", activation, "--activation gelu");
  problems.check(!qkNorm, "a norm of queries and keys", "--no-qk-norm");
  problems.check(!tokenShift, "token shift", "--no-token-shift");
  problems.check(logitSoftcap === 0, "a softcap of the logits", "--logit-softcap 0");
  const hasBias = bias?.data().some((b) => b !== 0) ?? false;
  const canFold = vocabSize <= nEmbd + 1; // saveGPT2() moves the bias into the normalization
  const sizes = `${vocabSize} tokens, possible up to n-embd + 1, ${nEmbd + 1}`;
  problems.check(!hasBias || canFold, `a bias in the output head (${sizes})`, "--no-lm-head-bias");
  checkDefaults(config, problems);
  problems.report("GPT-2");
}

/** Checks the options that only Llama and its relatives choose. */
function checkDefaults(config: GPT["config"], problems: Problems): void {
  const { nHead, nKvHead, nEmbd, headDim, mlpWidth, normEps, activation } = config;
  const isSquare = headDim * nHead === nEmbd;
  problems.check(nKvHead === nHead, "grouped queries", `--n-kv-head ${nHead}`);
  problems.check(isSquare, `heads of ${headDim} channels`, `--head-dim ${nEmbd / nHead}`);
  const isUsual = activation === "swiglu" || mlpWidth === 4 * nEmbd; // swiglu is a problem itself
  problems.check(isUsual, `an MLP of width ${mlpWidth}`, `--mlp-width ${4 * nEmbd}`);
  problems.check(normEps === 1e-5, `an epsilon of ${normEps}`, "--norm-eps 1e-5");
}
