// The registry of tokenizer kinds: builds a tokenizer from the name of its kind, or from JSON.

import { describe, UsageError } from "../errors.ts";
import { BPETokenizer } from "./bpe/bpe.ts";
import { CharTokenizer } from "./char.ts";
import { IdTokenizer } from "./ids.ts";
import { type Tokenizer, TokenizerError } from "./tokenizer.ts";
import { WordTokenizer } from "./word.ts";

export const tokenizerKinds = ["char", "word", "bpe", "gpt2", "ids"] as const;
export type TokenizerKind = (typeof tokenizerKinds)[number];

/** The minimum and default vocabulary size of the kinds whose size is configurable. */
export const vocabSizes: Partial<Record<TokenizerKind, { min: number; default: number }>> = {
  word: { min: 4, default: 4096 },
  bpe: { min: 256, default: 1024 },
};

/** Throws a UsageError, whose message begins with `source`, if a vocabulary cannot be so small. */
export function checkVocabSize(source: string, kind: TokenizerKind, vocabSize?: number): void {
  if (vocabSize === undefined) return;
  const limits = vocabSizes[kind];
  if (limits && vocabSize >= limits.min) return;
  const expected = limits ? `${limits.min} or more` : "none: its size is fixed";
  throw new UsageError(
    `${source}: vocabSize is ${vocabSize} for tokenizer ${kind}, expected ${expected}`,
  );
}

/** Returns the kind of a tokenizer; "bpe" for GPT-2's. */
export function kindOf(tokenizer: Tokenizer): TokenizerKind {
  if (tokenizer instanceof BPETokenizer) return "bpe";
  if (tokenizer instanceof WordTokenizer) return "word";
  return tokenizer instanceof IdTokenizer ? "ids" : "char";
}

/** Returns the ids of a prompt, after those that the model expects before a text, if any. */
export function encodePrompt(tokenizer: Tokenizer, prompt: string): number[] {
  const ids = tokenizer.encode(prompt);
  return tokenizer instanceof BPETokenizer ? [...tokenizer.prefix, ...ids] : ids;
}

/** Returns a tokenizer of a kind, trained on `text`. */
export function trainTokenizer(
  kind: Exclude<TokenizerKind, "gpt2">,
  text: string,
  vocabSize?: number,
): Tokenizer {
  const size = vocabSize ?? vocabSizes[kind]?.default ?? 0;
  switch (kind) {
    case "char":
      return CharTokenizer.train(text);
    case "word":
      return WordTokenizer.train(text, { vocabSize: size });
    case "bpe":
      return BPETokenizer.train(text, { vocabSize: size });
    case "ids":
      return IdTokenizer.train(text);
  }
}

/**
 * Returns the tokenizer of any kind that a JSON value describes. Throws a TokenizerError.
 * @example
 * const json = JSON.stringify(CharTokenizer.train("hello"));
 * console.log(tokenizerFromJSON(JSON.parse(json)).vocabSize); // 4
 */
export function tokenizerFromJSON(json: unknown): Tokenizer {
  const { type, model } = (json ?? {}) as { type?: unknown; model?: unknown };
  if (type === "char") return CharTokenizer.fromJSON(json);
  if (type === "ids") return IdTokenizer.fromJSON(json);
  if (type === "word") return WordTokenizer.fromJSON(json);
  if (type === undefined && model !== undefined) return BPETokenizer.fromJSON(json);
  throw new TokenizerError(
    `tokenizerFromJSON: json is ${describe(json)}, expected the JSON value of a tokenizer`,
  );
}
