// Reads and writes tokenizer files: the JSON of any tokenizer, and byte-level BPE in a folder as
// saved by Hugging Face transformers.

import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createFolder } from "../files/folder.ts";
import { MAX_TABLE_BYTES, readJSON } from "../files/json.ts";
import { sha256 } from "../files/sha256.ts";
import { FileError, readText } from "../files/text.ts";
import { BPETokenizer } from "./bpe/bpe.ts";
import { fromVocabAndMerges, toVocabAndMerges } from "./bpe/huggingface.ts";
import { tokenizerFromJSON } from "./registry.ts";
import { type Tokenizer, TokenizerError } from "./tokenizer.ts";

/** Loads a tokenizer of any kind from a JSON file. Throws a TokenizerError that names the file. */
export function loadTokenizer(file: string): Tokenizer {
  return withFileInErrors(file, () => {
    const tokenizer = tokenizerFromJSON(readJSON(file, MAX_TABLE_BYTES));
    if (tokenizer.vocabSize === 0) throw new TokenizerError("the vocabulary has no tokens");
    return tokenizer;
  });
}

const checksums = new WeakMap<Tokenizer, string>();

/** Returns the SHA-256 of a tokenizer's JSON, which does not change; computed once. */
export function tokenizerSha256(tokenizer: Tokenizer): string {
  const checksum = checksums.get(tokenizer) ?? sha256(JSON.stringify(tokenizer));
  checksums.set(tokenizer, checksum);
  return checksum;
}

/**
 * Loads the BPE tokenizer in a folder: from tokenizer.json if it exists, otherwise from vocab.json
 * and merges.txt. Throws a TokenizerError that names the file.
 * @example
 * saveBPE("tokenizer", BPETokenizer.train("low lower lowest", { vocabSize: 260 }));
 * console.log(loadBPE("tokenizer").vocabSize); // 260
 */
export function loadBPE(folder: string): BPETokenizer {
  const tokenizerFile = join(folder, "tokenizer.json");
  if (existsSync(tokenizerFile))
    return withFileInErrors(tokenizerFile, () =>
      BPETokenizer.fromJSON(readJSON(tokenizerFile, MAX_TABLE_BYTES)),
    );
  const vocabFile = join(folder, "vocab.json");
  const mergesFile = join(folder, "merges.txt");
  if (!existsSync(vocabFile) && !existsSync(mergesFile))
    throw new TokenizerError(`${folder} has neither tokenizer.json nor vocab.json and merges.txt`);
  const vocab = withFileInErrors(vocabFile, () => readJSON(vocabFile, MAX_TABLE_BYTES));
  const merges = withFileInErrors(mergesFile, () => readText(mergesFile, MAX_TABLE_BYTES));
  return withFileInErrors(
    `${vocabFile}, ${mergesFile}`,
    () => new BPETokenizer(fromVocabAndMerges(vocab, merges)),
  );
}

/**
 * Writes tokenizer.json, vocab.json and merges.txt to a folder, all readable by transformers.
 * @example
 * const tokenizer = BPETokenizer.train("low lower lowest", { vocabSize: 260 });
 * saveBPE("tokenizer", tokenizer); // writes vocab.json and merges.txt
 */
export function saveBPE(folder: string, tokenizer: BPETokenizer): void {
  createFolder(folder);
  const files = {
    "tokenizer.json": `${JSON.stringify(tokenizer, null, 2)}\n`,
    ...toVocabAndMerges(tokenizer.vocabulary),
  };
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
}

/** Returns the result of `read`, or throws its error as a TokenizerError that names the file. */
function withFileInErrors<T>(file: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    const { message } = cause as Error;
    const isNamed = cause instanceof FileError; // its message begins with the file's path
    throw new TokenizerError(isNamed ? message : `${file}: ${message}`, { cause });
  }
}
