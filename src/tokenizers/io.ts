// Tokenizers in files: any of ours as JSON, and byte-level BPE in a folder, as Hugging Face's
// models carry it.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BPETokenizer } from "./bpe/bpe.ts";
import { fromFiles, toFiles } from "./bpe/huggingface.ts";
import { tokenizerFromJSON } from "./registry.ts";
import { type Tokenizer, TokenizerError } from "./tokenizer.ts";

/** Any tokenizer from the file of its JSON. Throws a TokenizerError, which names the file. */
export function loadTokenizer(file: string): Tokenizer {
  return naming(file, () => tokenizerFromJSON(readJSON(file)));
}

/**
 * The tokenizer in a folder: its tokenizer.json, else its vocab.json and merges.txt. Throws a
 * TokenizerError, which names the file.
 * @example
 * saveBPE("tokenizer", BPETokenizer.train("low lower lowest", { vocabSize: 260 }));
 * console.log(loadBPE("tokenizer").vocabSize); // 260
 */
export function loadBPE(folder: string): BPETokenizer {
  const names = ["tokenizer.json", "vocab.json", "merges.txt"];
  const [whole, first, second] = names.map((name) => join(folder, name));
  if (existsSync(whole)) return naming(whole, () => BPETokenizer.fromJSON(readJSON(whole)));
  if (!existsSync(first) && !existsSync(second))
    throw new TokenizerError(`${folder} has neither tokenizer.json nor vocab.json and merges.txt`);
  const vocab = naming(first, () => readJSON(first));
  const merges = naming(second, () => readFileSync(second, "utf8"));
  return naming(`${first}, ${second}`, () => new BPETokenizer(fromFiles(vocab, merges)));
}

/**
 * Writes tokenizer.json, vocab.json and merges.txt into a folder: transformers reads each.
 * @example
 * const tokenizer = BPETokenizer.train("low lower lowest", { vocabSize: 260 });
 * saveBPE("tokenizer", tokenizer); // writes vocab.json and merges.txt
 */
export function saveBPE(folder: string, tokenizer: BPETokenizer): void {
  mkdirSync(folder, { recursive: true });
  const files = {
    "tokenizer.json": `${JSON.stringify(tokenizer, null, 2)}\n`,
    ...toFiles(tokenizer.vocabulary),
  };
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
}

function readJSON(file: string): unknown {
  return JSON.parse(readFileSync(file, "utf8"));
}

/** What `read` gives. Whatever it throws becomes a TokenizerError that begins with the file. */
function naming<T>(file: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new TokenizerError(`${file}: ${(cause as Error).message}`, { cause });
  }
}
