// The properties and computations of a loaded model that the page shows.

import { noGrad } from "../autograd.ts";
import type { BigramLanguageModel } from "../gpt/bigram.ts";
import type { LanguageModel } from "../gpt/language-model.ts";
import { GPT } from "../gpt/model.ts";
import type { Embedding } from "../nn/index.ts";
import { slice } from "../ops/movement.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Tokenizer } from "../tokenizers/tokenizer.ts";
import type { LoadedModel } from "./model-cache.ts";
import type { ModelInfo } from "./protocol.ts";
import { HttpError } from "./validate.ts";

/** The maximum number of tokens of a text that are inspected. */
export const MAX_TOKENS = 512;
/** The maximum number of weights in all attention maps of a text: 128 MB. */
const MAX_ATTENTION_WEIGHTS = 2 ** 25;
/** The maximum number of rows of an embedding table that are shown. */
const MAX_TABLE_ROWS = 1024;

/** Returns the properties of a model, its vocabulary and the sizes of its tables. */
export function describeModel(
  { model, tokenizer, step }: Pick<LoadedModel, "model" | "tokenizer" | "step">,
  hasChat = false,
): ModelInfo {
  const vocabulary: string[] = [];
  for (let id = 0; id < tokenizer.vocabSize; id++) vocabulary.push(tokenizer.decode([id]));
  const tables: ModelInfo["tables"] = {};
  for (const [name, table] of getTables(model)) tables[name] = getTableSize(table, model);
  return {
    step,
    layers: model instanceof GPT ? model.config.nLayer : 0,
    heads: model instanceof GPT ? model.config.nHead : 0,
    window: getWindowSize(model),
    vocabulary,
    hasChat,
    tables,
  };
}

/** Returns a model's embedding tables by their field names. They may be quantized. */
export function getTables(model: LanguageModel): Map<string, Embedding> {
  const tables = new Map<string, Embedding>();
  if (model instanceof GPT) {
    tables.set("wte", model.wte);
    if (model.wpe) tables.set("wpe", model.wpe);
  } else {
    const { token_embedding_table } = model as BigramLanguageModel;
    tables.set("token_embedding_table", token_embedding_table);
  }
  return tables;
}

/** Returns the numbers of shown rows, columns and total rows of a table. */
export function getTableSize(
  { weight }: Embedding,
  model: LanguageModel,
): ModelInfo["tables"][string] {
  const [total] = weight.shape;
  // not weight.shape[1], which counts packed words in a quantized table
  const columns = model instanceof GPT ? model.config.nEmbd : model.config.vocabSize;
  return { rows: Math.min(MAX_TABLE_ROWS, total), columns, total };
}

/** Returns the logits of the next token, (1, 1, V), for idx [1, T]. */
export function computeNextLogits(model: LanguageModel, idx: Tensor): Tensor {
  const selectLast = (x: Tensor) => slice(x, { dim: 1, start: -1 });
  return noGrad(() => {
    if (!(model instanceof GPT)) return selectLast(model.forward(idx).logits as Tensor);
    const hidden = selectLast(model.hidden(idx)); // (1, 1, C)
    return model.head(hidden); // (1, 1, V)
  });
}

/** Returns the maximum number of tokens of a text that are inspected with a model. */
function getWindowSize(model: LanguageModel): number {
  if (!(model instanceof GPT)) return MAX_TOKENS;
  const { blockSize, nLayer, nHead } = model.config;
  const maxForMaps = Math.floor(Math.sqrt(MAX_ATTENTION_WEIGHTS / (nLayer * nHead)));
  return Math.min(blockSize, MAX_TOKENS, maxForMaps);
}

/** Encodes a text. Returns its last tokens, and the number of tokens before them. */
export function encodeWindow(
  { model, tokenizer }: Pick<LoadedModel, "model" | "tokenizer">,
  text: string,
): { ids: number[]; before: number } {
  const all = encode(tokenizer, text);
  const ids = all.slice(-getWindowSize(model));
  return { ids, before: all.length - ids.length };
}

/** Encodes a text. Converts an error of the tokenizer to an HttpError with status 400. */
export function encode(tokenizer: Tokenizer, text: string): number[] {
  try {
    return tokenizer.encode(text);
  } catch (error) {
    throw new HttpError(400, (error as Error).message);
  }
}
