// Exports a run to a folder that Hugging Face transformers loads.

import { join } from "node:path";
import type { Device } from "../backend/device.ts";
import { UsageError } from "../errors.ts";
import { writeJSON } from "../files/durable.ts";
import { writeFolder } from "../files/output.ts";
import { saveGPT2 } from "../gpt/hf-gpt2.ts";
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

/**
 * Writes the model of a run, with its adapters merged, and its tokenizer: byte-pair encoding in the
 * format of transformers, other tokenizers in a file that only importHuggingFace() reads. Throws a
 * UsageError if GPT-2 cannot represent the model.
 */
export function exportRun(
  run: string,
  out: string,
  device: Device,
  checkpoint?: CheckpointName,
  base?: string,
): Pretrained {
  checkOutside(out, run);
  return writeFolder(out, (folder) => {
    const exported = loadRun(run, device, checkpoint && [checkpoint], { base });
    writeModel(folder, run, exported);
    return exported;
  });
}

function writeModel(folder: string, run: string, { model, tokenizer }: Pretrained): void {
  if (!(model instanceof GPT))
    throw new UsageError(`export: the model of ${run} is a bigram model; only a GPT is exported`);
  if (isQuantized(model))
    throw new UsageError(`export: the model of ${run} is quantized; export the original run`);
  checkExportable(model);
  if (tokenizer instanceof BPETokenizer) {
    const endOfText = tokenizer.vocabulary.special.get(END_OF_TEXT);
    saveGPT2(folder, model, { endOfText });
    saveBPE(folder, tokenizer);
    // without these settings, transformers adds the token with an id beyond the embedding
    const token = endOfText === undefined ? null : END_OF_TEXT;
    writeJSON(join(folder, "tokenizer_config.json"), {
      tokenizer_class: "GPT2Tokenizer",
      bos_token: token,
      eos_token: token,
      unk_token: token,
    });
  } else {
    saveGPT2(folder, model);
    writeJSON(join(folder, tokenizerFile), tokenizer);
  }
}

/** Throws a UsageError if GPT-2 lacks an option of the model; it names those to train with. */
function checkExportable({ config, lm_head: { bias } }: GPT): void {
  const { positions, norm, activation, qkNorm, logitSoftcap, vocabSize, nEmbd } = config;
  const flags: string[] = [];
  const problems: string[] = [];
  const check = (isPossible: boolean, problem: string, flag: string) => {
    if (isPossible) return;
    problems.push(problem);
    flags.push(flag);
  };
  check(positions === "learned", `${positions} positions`, "--positions learned");
  check(norm === "layer", `${norm} normalization`, "--norm layer");
  check(activation !== "swiglu", activation, "--activation gelu");
  check(!qkNorm, "a norm of queries and keys", "--no-qk-norm");
  check(logitSoftcap === 0, "a softcap of the logits", "--logit-softcap 0");
  const hasBias = bias?.data().some((b) => b !== 0) ?? false;
  const canFold = vocabSize <= nEmbd + 1; // saveGPT2() moves the bias into the normalization
  const sizes = `${vocabSize} tokens, possible up to n-embd + 1, ${nEmbd + 1}`;
  check(!hasBias || canFold, `a bias in the output head (${sizes})`, "--no-lm-head-bias");
  if (flags.length === 0) return;
  const remedy = `a model that is trained with ${flags.join(" ")} can be exported`;
  throw new UsageError(`export: GPT-2 does not have ${problems.join(", ")}; ${remedy}`);
}
