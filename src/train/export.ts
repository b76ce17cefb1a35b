// A run as a folder that Hugging Face's transformers loads.

import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Device } from "../device.ts";
import { GPT } from "../gpt/model.ts";
import { isQuantized } from "../gpt/quantize.ts";
import { saveGPT2 } from "../gpt/weights.ts";
import { BPETokenizer } from "../text/bpe.ts";
import { saveBPE } from "../text/files.ts";
import { ownVocabulary } from "./import.ts";
import type { Initial } from "./initial.ts";
import { loadRun } from "./load.ts";
import { UsageError } from "./table.ts";

/**
 * Writes the model of a run, adapters merged, with its vocabulary: byte-pair encoding as
 * transformers reads it, other tokenizers in a file that only importGPT2() knows. Throws a
 * UsageError where GPT-2 cannot hold the model.
 */
export function exportRun(run: string, out: string, device: Device): Initial {
  if (existsSync(join(out, "config.json")))
    throw new UsageError(`out: ${out} holds a run or a model already`);
  const exported = loadRun(run, device);
  const { model, tokenizer } = exported;
  if (!(model instanceof GPT))
    throw new UsageError(`export: the model of ${run} is a bigram, which GPT-2 cannot hold`);
  if (isQuantized(model))
    throw new UsageError(`export: the model of ${run} is quantized; export the one it is of`);
  if (tokenizer instanceof BPETokenizer) {
    saveGPT2(out, model, { endOfText: tokenizer.vocabulary.special.get("<|endoftext|>") });
    saveBPE(out, tokenizer);
  } else {
    saveGPT2(out, model);
    writeFileSync(join(out, ownVocabulary), `${JSON.stringify(tokenizer, null, 2)}\n`);
  }
  return exported;
}
