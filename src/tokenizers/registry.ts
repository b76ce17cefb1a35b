// Every kind of tokenizer by its name: made for a text, or found again from its JSON.

import { BPETokenizer } from "./bpe/bpe.ts";
import { loadGPT2Tokenizer } from "./bpe/gpt2.ts";
import { CharTokenizer } from "./char.ts";
import { IdTokenizer } from "./ids.ts";
import { type Tokenizer, TokenizerError } from "./tokenizer.ts";
import { WordTokenizer } from "./word.ts";

export const tokenizerKinds = ["char", "word", "bpe", "gpt2", "ids"] as const;
export type TokenizerKind = (typeof tokenizerKinds)[number];

/** For the kinds whose size can be chosen, the smallest and the usual one. */
export const vocabSizes: Partial<Record<TokenizerKind, { least: number; usual: number }>> = {
  word: { least: 4, usual: 4096 },
  bpe: { least: 256, usual: 1024 },
};

/** The tokenizer that a kind's name stands for, trained on a text where it learns at all. */
export function makeTokenizer(kind: TokenizerKind, text: string, vocabSize?: number): Tokenizer {
  const size = vocabSize ?? vocabSizes[kind]?.usual ?? 0;
  switch (kind) {
    case "char":
      return CharTokenizer.train(text);
    case "word":
      return WordTokenizer.train(text, { vocabSize: size });
    case "bpe":
      return BPETokenizer.train(text, { vocabSize: size });
    case "gpt2":
      return loadGPT2Tokenizer();
    case "ids":
      return IdTokenizer.train(text);
  }
}

/**
 * Any tokenizer from its JSON. Throws a TokenizerError.
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
  throw new TokenizerError("tokenizer: JSON is that of no tokenizer known here");
}
