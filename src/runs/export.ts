// A run as a folder that Hugging Face's transformers loads.

import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Device } from "../backend/device.ts";
import { GPT } from "../gpt/model.ts";
import { isQuantized } from "../gpt/quantize.ts";
import { saveGPT2 } from "../gpt/hf-gpt2.ts";
import { BPETokenizer } from "../tokenizers/bpe/bpe.ts";
import { saveBPE } from "../tokenizers/io.ts";
import { ownVocabulary } from "./import.ts";
import type { Pretrained } from "../train/finetune.ts";
import { loadRun } from "./load.ts";
import { UsageError } from "../errors.ts";

/**
 * Writes the model of a run, adapters merged, with its vocabulary: byte-pair encoding as
 * transformers reads it, other tokenizers in a file that only importGPT2() knows. Throws a
 * UsageError where GPT-2 cannot hold the model.
 */
export function exportRun(run: string, out: string, device: Device): Pretrained {
  if (existsSync(join(out, "config.json")))
    throw new UsageError(`out: ${out} holds a run or a model already`);
  const exported = loadRun(run, device);
  const { model, tokenizer } = exported;
  if (!(model instanceof GPT))
    throw new UsageError(`export: the model of ${run} is a bigram, which GPT-2 cannot hold`);
  if (isQuantized(model))
    throw new UsageError(`export: the model of ${run} is quantized; export the one it is of`);
  const write = (name: string, value: unknown) =>
    writeFileSync(join(out, name), `${JSON.stringify(value, null, 2)}\n`);
  if (tokenizer instanceof BPETokenizer) {
    const end = "<|endoftext|>";
    const endOfText = tokenizer.vocabulary.special.get(end);
    saveGPT2(out, model, { endOfText });
    saveBPE(out, tokenizer);
    // unless told, transformers adds such a token, with an id beyond the model's embedding
    const token = endOfText === undefined ? null : end;
    const settings = { bos_token: token, eos_token: token, unk_token: token };
    write("tokenizer_config.json", { tokenizer_class: "GPT2Tokenizer", ...settings });
  } else {
    saveGPT2(out, model);
    write(ownVocabulary, tokenizer);
  }
  return exported;
}
