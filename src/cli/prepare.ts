// tinybard prepare: makes token shards of text files of any size.

import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { type PrepareOptions, prepareShards } from "../data/prepare/prepare.ts";
import type { ShardEntry, Split } from "../data/shards/manifest.ts";
import { UsageError } from "../errors.ts";
import { formatCommand, quoteArgument } from "../installation.ts";
import { findNearest } from "../options.ts";
import { loadGPT2Tokenizer } from "../tokenizers/bpe/gpt2.ts";
import { loadBPE, loadTokenizer } from "../tokenizers/io.ts";
import { vocabSizes } from "../tokenizers/registry.ts";
import type { Command } from "./command.ts";
import { formatCount } from "./count.ts";
import { ignoreClosedOutput } from "./output.ts";
import { PrepareLine } from "./prepare-line.ts";
import { catchSignals } from "./signals.ts";

interface PrepareFlags {
  files: string[];
  out: string;
  tokenizer: string;
  vocabSize?: number;
  tokenizerSample?: number;
  shardTokens: number;
  valShare: number;
  documentSeparator?: string;
  field?: string;
  workers?: number;
}

const kinds = ["gpt2", "bpe", "char", "word"];

export const prepareCommand: Command<PrepareFlags> = {
  summary: "make token shards of text of any size, to train on",
  writesFiles: true,
  options: {
    files: {
      type: "string",
      help: "texts in UTF-8, or JSON lines (.jsonl, .ndjson); both also as .gz",
      required: true,
      value: "FILE...",
    },
    out: { type: "string", help: "folder for the shards", required: true, value: "DIR" },
    tokenizer: {
      type: "string",
      help: "gpt2; bpe, char or word, trained on the text; or a tokenizer.json",
      default: "gpt2",
      value: "NAME|FILE",
    },
    vocabSize: {
      type: "integer",
      help: "vocabulary size of a bpe or word tokenizer (default: bpe 1024, word 4096)",
      min: 4,
      value: "N",
    },
    tokenizerSample: {
      type: "integer",
      help: "bytes of text to train the tokenizer on (default: 256 million; char: all)",
      min: 1,
      value: "BYTES",
    },
    shardTokens: {
      type: "integer",
      help: "tokens in each shard",
      default: 100_000_000,
      min: 1,
      max: 2 ** 31 - 1,
      value: "N",
    },
    valShare: {
      type: "number",
      help: "share of the validation split",
      default: 0.1,
      min: 0,
      max: 0.99,
      value: "X",
    },
    documentSeparator: {
      type: "string",
      help: "text between documents, with \\n for a newline (default: a file is a document)",
      value: "TEXT",
    },
    field: {
      type: "string",
      help: "field with the text in JSON lines (default: text)",
      value: "NAME",
    },
    workers: {
      type: "integer",
      help: "threads that encode (default: one per core)",
      min: 1,
      max: 256,
      value: "N",
    },
  },
  operand: "files",
  hasManyOperands: true,

  async run({ tokenizer: name, vocabSize, documentSeparator, ...flags }) {
    const tokenizer = selectTokenizer(name, vocabSize);
    const signals = catchSignals();
    ignoreClosedOutput();
    const abort = new AbortController();
    signals.received.then(() => abort.abort());
    const line = new PrepareLine(process.stdout);
    try {
      const { shards } = await prepareShards({
        ...flags,
        tokenizer,
        documentSeparator: documentSeparator && parseEscapes(documentSeparator),
        onProgress: (progress) => line.show(progress),
        signal: abort.signal,
      });
      line.clear();
      for (const split of ["train", "val"] as const) console.log(describeSplit(shards, split));
      const splits = new Set(shards.map(({ split }) => split));
      if (splits.size === 2)
        console.log(`try: ${formatCommand("train", `--data ${quoteArgument(flags.out)}`)}`);
      else if (flags.valShare > 0)
        console.error("warning: the input is too small for a training and a validation split");
      return 0;
    } catch (error) {
      line.clear();
      if (signals.code === 0) throw error;
      console.error("prepare: interrupted; run the same command again to continue");
      return signals.code;
    }
  },
};

/** Returns the tokenizer that --tokenizer names, or how to train it. Throws a UsageError. */
function selectTokenizer(name: string, vocabSize?: number): PrepareOptions["tokenizer"] {
  if (name === "bpe" || name === "word" || name === "char") {
    const sizes = vocabSizes[name];
    const min = name === "bpe" ? 257 : (sizes?.min ?? 0); // with <|endoftext|>
    if (sizes && vocabSize !== undefined && vocabSize < min)
      throw new UsageError(
        `prepare: vocabSize is ${vocabSize}, expected at least ${min} for tokenizer ${name}`,
      );
    if (sizes) return { kind: name, vocabSize: vocabSize ?? sizes.default };
  }
  if (vocabSize !== undefined)
    throw new UsageError(`prepare: vocabSize cannot be set for tokenizer ${name}`);
  if (name === "char") return { kind: name };
  if (name === "gpt2") return loadGPT2Tokenizer();
  if (!existsSync(name)) {
    const nearest = findNearest(name, kinds);
    const hint = nearest ? ` (did you mean ${nearest}?)` : "";
    throw new UsageError(
      `prepare: tokenizer is ${name}, expected ${kinds.join(", ")}, or a tokenizer.json${hint}`,
    );
  }
  if (!statSync(name).isDirectory()) return loadTokenizer(name);
  const file = join(name, "tokenizer.json");
  return existsSync(file) ? loadTokenizer(file) : loadBPE(name);
}

/** Replaces \\n, \\r, \\t and \\\\, since most shells cannot write a newline in an argument. */
function parseEscapes(text: string): string {
  const characters: Record<string, string> = { n: "\n", r: "\r", t: "\t", "\\": "\\" };
  return text.replace(/\\([nrt\\])/g, (_, letter) => characters[letter]);
}

/** Formats `train: 301,966 tokens in 1 shard, 1 document, 3.32 bytes per token`. */
function describeSplit(shards: readonly ShardEntry[], split: Split): string {
  const own = shards.filter((shard) => shard.split === split);
  const sum = (key: "tokens" | "bytes" | "documents") =>
    own.reduce((total, shard) => total + shard[key], 0);
  const tokens = sum("tokens");
  const ratio = tokens > 0 ? `, ${(sum("bytes") / tokens).toFixed(2)} bytes per token` : "";
  const documents = formatCount(sum("documents"), "document");
  const files = formatCount(own.length, "shard");
  return `${split}: ${formatCount(tokens, "token")} in ${files}, ${documents}${ratio}`;
}
