// Imports a Hugging Face model: as a pretrained model, or as the folder of a run, which sample,
// eval, export and quantize read like any other.

import { existsSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import type { Device } from "../backend/device.ts";
import { writeJSON } from "../files/durable.ts";
import { writeFolder } from "../files/output.ts";
import { HuggingFaceError } from "../gpt/hf-config.ts";
import { findWeightFiles } from "../gpt/hf-weights.ts";
import { readHuggingFace } from "../gpt/huggingface.ts";
import { GPT } from "../gpt/model.ts";
import { scope } from "../scope.ts";
import { loadGPT2Tokenizer } from "../tokenizers/bpe/gpt2.ts";
import { IdTokenizer } from "../tokenizers/ids.ts";
import { loadBPE, loadTokenizer } from "../tokenizers/io.ts";
import type { Tokenizer } from "../tokenizers/tokenizer.ts";
import { resolveConfig, type TrainConfig } from "../train/config.ts";
import { type Pretrained, resizeRows } from "../train/finetune.ts";
import { copyChatFormat } from "./chat-format.ts";
import { saveCheckpoint } from "./checkpoint.ts";

/** The file name for tokenizers that have no format in transformers. */
export const tokenizerFile = "tinybard-tokenizer.json";

/** Options of importHuggingFace(). */
export interface ImportOptions {
  /** Shortens the context of a model with rotary positions. */
  blockSize?: number;
}

/** The training options of an imported run, from which runs that fine-tune it derive theirs. */
const gpt2Training = { preset: "gpt2" } as const;
const llamaTraining = { learningRate: 3e-4, gradClip: 1, beta2: 0.95 } as const;

/**
 * Loads the model in a folder; see loadHuggingFace(). Its tokenizer comes from
 * tinybard-tokenizer.json, tokenizer.json, or vocab.json and merges.txt. If these are missing, a
 * vocabulary of GPT-2's size gets GPT-2's tokenizer, and any other size an IdTokenizer. Embedding
 * rows beyond the vocabulary, such as nanoGPT's padding, are dropped. Throws a HuggingFaceError,
 * SafetensorsError or TokenizerError that names the file.
 */
export function importHuggingFace(
  folder: string,
  device: Device,
  options: ImportOptions = {},
): Pretrained {
  const loaded = readHuggingFace(folder, options).to(device);
  const tokenizer = findTokenizer(folder, loaded.config.vocabSize);
  const isPadded = tokenizer.vocabSize < loaded.config.vocabSize;
  const model = isPadded ? removePadding(loaded, tokenizer.vocabSize) : loaded;
  const { vocabSize: _, ...architecture } = model.config;
  const { type = "bpe" } = tokenizer.toJSON() as { type?: TrainConfig["tokenizer"] };
  const training = architecture.positions === "rotary" ? llamaTraining : gpt2Training;
  const config = resolveConfig("import", { ...training, ...architecture, tokenizer: type });
  return { folder, files: findWeightFiles(folder), config, tokenizer, model };
}

/** Writes the model in a folder as the folder of a run, and returns it. */
export function importRun(
  folder: string,
  out: string,
  device: Device,
  options: ImportOptions = {},
): Pretrained {
  return writeFolder(out, (path) => {
    const imported = importHuggingFace(folder, device, options);
    saveCheckpoint(join(path, "last"), imported.model, null, {
      step: 0,
      evaluation: null,
      bestValLoss: null,
      elapsedSeconds: 0,
      textSha256: "",
    });
    writeJSON(join(path, "tokenizer.json"), imported.tokenizer);
    writeJSON(join(path, "config.json"), { ...imported.config, out });
    copyChatFormat(folder, path);
    return imported;
  });
}

/** Returns the default folder for an import: runs/gpt2 for a folder of that name. */
export function defaultImportFolder(folder: string): string {
  return join("runs", basename(resolve(folder)));
}

function findTokenizer(folder: string, vocabSize: number): Tokenizer {
  const candidates = [tokenizerFile, "tokenizer.json", "vocab.json", "merges.txt"];
  const name = candidates.find((candidate) => existsSync(join(folder, candidate)));
  if (!name) return vocabSize === 50257 ? loadGPT2Tokenizer() : new IdTokenizer(vocabSize);
  const file = join(folder, name);
  const tokenizer = name === tokenizerFile ? loadTokenizer(file) : loadBPE(folder);
  if (tokenizer.vocabSize > 0 && tokenizer.vocabSize <= vocabSize) return tokenizer;
  const sizes = `${tokenizer.vocabSize} tokens, and vocab_size is ${vocabSize}`;
  throw new HuggingFaceError(`${file}: the vocabulary has ${sizes}`);
}

function removePadding(padded: GPT, vocabSize: number): GPT {
  const model = new GPT({ ...padded.config, vocabSize }, { initWeights: false });
  model.to(padded.wte.weight.device);
  scope(() => model.loadStateDict(resizeRows(padded.stateDict(), model.stateDict())));
  return model;
}
