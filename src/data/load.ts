// Training data of both kinds: a text, which is encoded here, and token shards.

import { UsageError } from "../errors.ts";
import { sha256 } from "../files/sha256.ts";
import { loadGPT2Tokenizer } from "../tokenizers/bpe/gpt2.ts";
import { IdTokenizer } from "../tokenizers/ids.ts";
import { tokenizerSha256 } from "../tokenizers/io.ts";
import { kindOf, type TokenizerKind, vocabSizes } from "../tokenizers/registry.ts";
import type { Tokenizer } from "../tokenizers/tokenizer.ts";
import { splitTokens } from "./batches.ts";
import { type Corpus, loadCorpus } from "./corpus.ts";
import { isLargeText, openLargeText, type TokenizerChoice } from "./large-text.ts";
import type { OnPrepareProgress } from "./prepare/job.ts";
import { areShards } from "./shards/find.ts";
import { openShards, type ShardData } from "./shards/open.ts";
import type { SplitTokens } from "./tokens.ts";

/** The kind of a tokenizer that is trained on the data, or loaded. */
export interface RequestedTokenizer {
  kind: TokenizerKind;
  vocabSize?: number;
}

export type TrainingData = Corpus | ShardData;

/**
 * Loads a text like loadCorpus(), or opens token shards: a folder, a file, or a pattern. A large
 * text becomes shards in the cache folder; `onProgress` is called until they are written.
 */
export async function loadData(
  data: string | undefined,
  tokenizer: Tokenizer | RequestedTokenizer,
  onProgress?: OnPrepareProgress,
): Promise<TrainingData> {
  const place = data ?? process.env.TINYBARD_DATA;
  if (place && areShards(place)) return openShards(place);
  const choice = toChoice(tokenizer);
  if (place && choice && isLargeText(place)) return openLargeText(place, choice, onProgress);
  return loadCorpus(data);
}

/** Returns null for the tokenizer of numbers, which only exists for texts in memory. */
function toChoice(tokenizer: Tokenizer | RequestedTokenizer): TokenizerChoice | null {
  if (!("kind" in tokenizer)) return tokenizer instanceof IdTokenizer ? null : tokenizer;
  const { kind, vocabSize = vocabSizes[kind]?.default ?? 0 } = tokenizer;
  if (kind === "gpt2") return loadGPT2Tokenizer();
  if (kind === "char") return { kind };
  return kind === "ids" ? null : { kind, vocabSize };
}

/** Returns true for a text. */
export function isText(data: TrainingData): data is Corpus {
  return "text" in data;
}

/** Returns the checksum of a text, or of token shards. */
export function dataSha256(data: TrainingData): string {
  return isText(data) ? sha256(data.text) : data.sha256;
}

/**
 * Returns the tokenizer of token shards, the one beside them, and its kind. If there is none, it is
 * GPT-2's if `kind` says so. Throws a UsageError if there is none, or if it is not of the kind that
 * was requested.
 */
export function chooseTokenizer(
  { name, tokenizer }: ShardData,
  kind: TokenizerKind,
  requested?: TokenizerKind,
): { tokenizer: Tokenizer; kind: TokenizerKind } {
  if (!tokenizer) {
    if (kind === "gpt2") return { tokenizer: loadGPT2Tokenizer(), kind };
    throw new UsageError(
      `data: ${name} has no tokenizer.json; if its tokens are GPT-2's: --tokenizer gpt2`,
    );
  }
  const found = isGPT2(tokenizer) ? "gpt2" : kindOf(tokenizer);
  if (requested !== undefined && requested !== found)
    throw new UsageError(
      `data: the tokenizer of ${name} is ${found}, but --tokenizer is ${requested}`,
    );
  return { tokenizer, kind: found };
}

function isGPT2(tokenizer: Tokenizer): boolean {
  const gpt2Size = 50257;
  if (kindOf(tokenizer) !== "bpe" || tokenizer.vocabSize !== gpt2Size) return false;
  return tokenizerSha256(tokenizer) === tokenizerSha256(loadGPT2Tokenizer());
}

/** Returns the tokens of both splits. Throws a UsageError if they come from another tokenizer. */
export function toTokens(data: TrainingData, tokenizer: Tokenizer): SplitTokens {
  if (isText(data)) return splitTokens(data.text, tokenizer);
  if (data.tokenizer && tokenizerSha256(data.tokenizer) !== tokenizerSha256(tokenizer))
    throw new UsageError(`data: ${data.name} has tokens of another tokenizer than the model`);
  return data.open(tokenizer.vocabSize);
}
