// Byte-level BPE in a folder, as Hugging Face's models carry it.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BPETokenizer } from "./bpe.ts";
import { TokenizerError } from "./tokenizer.ts";
import { fromFiles, toFiles } from "./vocabulary.ts";

/** The tokenizer in a folder: its tokenizer.json, else its vocab.json and merges.txt. */
export function loadBPE(folder: string): BPETokenizer {
  const file = join(folder, "tokenizer.json");
  if (existsSync(file)) {
    let json: unknown;
    try {
      json = JSON.parse(readFileSync(file, "utf8"));
    } catch (cause) {
      throw new TokenizerError(`${file} is not JSON: ${(cause as Error).message}`, { cause });
    }
    return BPETokenizer.fromJSON(json);
  }
  const [vocab, merges] = ["vocab.json", "merges.txt"].map((name) => {
    if (existsSync(join(folder, name))) return readFileSync(join(folder, name), "utf8");
    throw new TokenizerError(`${folder} has neither tokenizer.json nor vocab.json and merges.txt`);
  });
  return new BPETokenizer(fromFiles(vocab, merges));
}

/** Writes tokenizer.json, vocab.json and merges.txt into a folder: transformers reads each. */
export function saveBPE(folder: string, tokenizer: BPETokenizer): void {
  mkdirSync(folder, { recursive: true });
  const files = {
    "tokenizer.json": `${JSON.stringify(tokenizer, null, 2)}\n`,
    ...toFiles(tokenizer.vocabulary),
  };
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
}
