// GPT-2 as Hugging Face's transformers keeps it, made into what a run can begin with, or into the
// folder of a run, which sample, eval, export and quantize take as one that was trained here.

import { existsSync, mkdirSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import type { Device } from "../backend/device.ts";
import { GPT } from "../gpt/model.ts";
import { GPT2Error, readGPT2, weightFiles } from "../gpt/hf-gpt2.ts";
import { scope } from "../scope.ts";
import { loadBPE, loadTokenizer } from "../tokenizers/io.ts";
import { loadGPT2Tokenizer } from "../tokenizers/bpe/gpt2.ts";
import { IdTokenizer } from "../tokenizers/ids.ts";
import type { Tokenizer } from "../tokenizers/tokenizer.ts";
import { saveCheckpoint, writeJSON } from "./checkpoint.ts";
import { resizeRows, type Pretrained } from "../train/finetune.ts";
import { resolveConfig, type TrainConfig } from "../train/config.ts";
import { UsageError } from "../errors.ts";

/** A vocabulary of ours beside a model of theirs: what a character tokenizer is exported as. */
export const ownVocabulary = "tinybard-tokenizer.json";

/**
 * The GPT-2 in a folder. Its tokenizer is that of the folder's tinybard-tokenizer.json,
 * tokenizer.json, or vocab.json and merges.txt; without these GPT-2's own where the size is that of
 * GPT-2, else ids as they are. Rows of the embedding beyond the vocabulary, as nanoGPT pads it, are
 * left out. Throws a GPT2Error, SafetensorsError or TokenizerError, which names the file.
 */
export function importGPT2(folder: string, device: Device): Pretrained {
  const whole = readGPT2(folder).to(device);
  const tokenizer = vocabularyOf(folder, whole.config.vocabSize);
  const { vocabSize } = tokenizer;
  const model = vocabSize < whole.config.vocabSize ? withoutPadding(whole, vocabSize) : whole;
  const { vocabSize: _, ...options } = model.config;
  const kind = (tokenizer.toJSON() as { type?: TrainConfig["tokenizer"] }).type ?? "bpe";
  const config = resolveConfig("import", { preset: "gpt2", ...options, tokenizer: kind });
  return { folder, files: weightFiles(folder), config, tokenizer, model };
}

/** Writes the GPT-2 in a folder as the folder of a run. */
export function importRun(folder: string, out: string, device: Device): Pretrained {
  if (existsSync(join(out, "config.json")))
    throw new UsageError(`out: ${out} holds a run or a model already`);
  const imported = importGPT2(folder, device);
  const { config, tokenizer, model } = imported;
  mkdirSync(out, { recursive: true });
  const start = { step: 0, evaluation: null, bestValLoss: null, elapsedSeconds: 0, textSha256: "" };
  saveCheckpoint(join(out, "last"), model, null, start);
  for (const [name, value] of Object.entries({ tokenizer, config: { ...config, out } }))
    writeJSON(join(out, `${name}.json`), value);
  return imported;
}

/** runs/gpt2 for a folder of that name. */
export function importedName(folder: string): string {
  return join("runs", basename(resolve(folder)));
}

function vocabularyOf(folder: string, vocabSize: number): Tokenizer {
  const names = [ownVocabulary, "tokenizer.json", "vocab.json", "merges.txt"];
  const [own, ...theirs] = names.map((name) => join(folder, name));
  const file = [own, ...theirs].find((each) => existsSync(each));
  if (!file) return vocabSize === 50257 ? loadGPT2Tokenizer() : new IdTokenizer(vocabSize);
  const tokenizer = file === own ? loadTokenizer(own) : loadBPE(folder);
  if (tokenizer.vocabSize > 0 && tokenizer.vocabSize <= vocabSize) return tokenizer;
  const sizes = `${tokenizer.vocabSize} tokens, and vocab_size is ${vocabSize}`;
  throw new GPT2Error(`${file}: the vocabulary has ${sizes}`);
}

function withoutPadding(whole: GPT, vocabSize: number): GPT {
  const model = new GPT({ ...whole.config, vocabSize }, { initWeights: false });
  model.to(whole.wte.weight.device);
  scope(() => model.loadStateDict(resizeRows(model.stateDict(), whole.stateDict())));
  return model;
}
