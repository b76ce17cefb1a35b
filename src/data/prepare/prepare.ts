// Makes token shards of text of any size. The input is read in pieces, worker threads encode them,
// and the tokens are written in the order of the input, so that the shards depend neither on the
// number of workers nor on how often the program was killed.

import * as fs from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { checkOptions, UsageError } from "../../errors.ts";
import { writeJSON } from "../../files/durable.ts";
import { lockFolder } from "../../files/lock.ts";
import { removeIfEmpty } from "../../files/output.ts";
import { loadTokenizer, tokenizerSha256 } from "../../tokenizers/io.ts";
import type { Tokenizer } from "../../tokenizers/tokenizer.ts";
import { MAX_SHARD_TOKENS } from "../shards/format.ts";
import { type Manifest, readManifest } from "../shards/manifest.ts";
import { InputError } from "./content.ts";
import { encodeInput } from "./encode-input.ts";
import {
  checkFolder,
  clearFolder,
  describeInputs,
  type Request,
  readProgress,
  writeRequest,
} from "./folder.ts";
import { findSections } from "./input.ts";
import type { Job, PrepareProgress } from "./job.ts";
import { type TrainingRequest, trainOnInput } from "./learn.ts";

export type { PrepareProgress, TrainingRequest };

const DEFAULT_SHARD_TOKENS = 100_000_000;
const DEFAULT_VAL_SHARE = 0.1;

export interface PrepareOptions {
  /** Texts in UTF-8, or JSON lines (.jsonl, .ndjson), perhaps compressed by gzip. */
  files: readonly string[];
  /** The folder of the shards: a new one, or one whose preparation was interrupted. */
  out: string;
  /** The tokenizer, or the kind of one to train on the input. */
  tokenizer: Tokenizer | TrainingRequest;
  /** About how many bytes of the input a tokenizer is trained on. Default: 256 MB; char: all. */
  tokenizerSample?: number;
  /** The number of tokens in a shard. Default: 100 million. */
  shardTokens?: number;
  /** The share of the validation split. Default: 0.1. */
  valShare?: number;
  /** The text between documents. By default each file is one document. */
  documentSeparator?: string;
  /** The field of JSON lines that has the text. Default: text. All files are read as JSON lines. */
  field?: string;
  /** The number of worker threads; 0 encodes in this one. Default: one for each core. */
  workers?: number;
  /** The seconds between two records of the progress. */
  checkpointSeconds?: number;
  onProgress?(progress: PrepareProgress): void;
  /** Stops after the current piece, with its reason as the error. The same call continues. */
  signal?: AbortSignal;
}

const optionNames = [
  "files",
  "out",
  "tokenizer",
  "tokenizerSample",
  "shardTokens",
  "valShare",
  "documentSeparator",
  "field",
  "workers",
  "checkpointSeconds",
  "onProgress",
  "signal",
];

/** Below this size of the input, threads take longer to start than to encode. */
const MIN_BYTES_FOR_WORKERS = 2 ** 22;

/**
 * Writes token shards of text files to a folder, and returns their manifest, which is written last.
 * Called again after it was killed, with the same options, it continues; the bytes are the same as
 * those of one undisturbed call, for any number of workers. Returns at once if the folder is
 * complete. Throws a UsageError if the folder has other content or was begun with other options or
 * files; a FileError that names the file, and the line or byte, if the input is not valid.
 */
export async function prepareShards(options: PrepareOptions): Promise<Manifest> {
  const { out } = options;
  const request = describeRequest(checkValues(options));
  if (checkFolder(out, request) === "complete") return readManifest(out) as Manifest;
  const lock = lockFolder(out);
  try {
    const state = checkFolder(out, request); // another process may have finished it just now
    if (state === "complete") return readManifest(out) as Manifest;
    if (state === "new") writeRequest(out, request);
    const job = await createJob(options);
    const tokenizer = await getTokenizer(options.tokenizer, job);
    return await encodeInput(job, tokenizer, () => {
      const inputs = describeInputs(options.files);
      checkFolder(out, { ...request, inputs }); // they are still what they were
    });
  } catch (error) {
    // corrected, it is other input; and what has no progress yet cannot be continued
    const isUseless = !options.signal?.aborted && readProgress(out) === null;
    if (error instanceof InputError || isUseless) clearFolder(out);
    throw error;
  } finally {
    lock.release();
    removeIfEmpty(out);
  }
}

/** Throws a UsageError if an option is out of range. */
function checkValues(options: PrepareOptions): PrepareOptions {
  checkOptions("prepareShards", options, optionNames);
  const { files, shardTokens = 1, valShare = 0, documentSeparator, workers = 0 } = options;
  const check = (name: string, value: number, isValid: boolean, expected: string) => {
    if (!isValid) throw new UsageError(`prepare: ${name} is ${value}, expected ${expected}`);
  };
  const isCount = Number.isInteger(shardTokens) && shardTokens >= 1;
  const isShardSize = isCount && shardTokens <= MAX_SHARD_TOKENS;
  check("shardTokens", shardTokens, isShardSize, `a whole number from 1 to ${MAX_SHARD_TOKENS}`);
  const isShare = valShare >= 0 && valShare < 1;
  check("valShare", valShare, isShare, "a number from 0 to below 1");
  const isWorkerCount = Number.isInteger(workers) && workers >= 0;
  check("workers", workers, isWorkerCount, "a whole number from 0 up");
  if (files.length === 0) throw new UsageError("prepare: no files, expected at least one");
  if (documentSeparator === "")
    throw new UsageError("prepare: documentSeparator is empty, expected a text");
  return options;
}

/** Describes what determines the shards. Throws a FileError if a file cannot be read. */
function describeRequest(options: PrepareOptions): Request {
  const { tokenizer, tokenizerSample, documentSeparator, field } = options;
  const training = "kind" in tokenizer ? tokenizer : null;
  return {
    inputs: describeInputs(options.files),
    options: {
      tokenizer: training?.kind ?? tokenizerSha256(tokenizer as Tokenizer),
      vocabSize: training && "vocabSize" in training ? training.vocabSize : null,
      tokenizerSample: tokenizerSample ?? null,
      shardTokens: options.shardTokens ?? DEFAULT_SHARD_TOKENS,
      valShare: options.valShare ?? DEFAULT_VAL_SHARE,
      documentSeparator: documentSeparator ?? null,
      field: field ?? null,
    },
  };
}

async function createJob(options: PrepareOptions): Promise<Job> {
  const { files, out, documentSeparator, field, tokenizerSample, onProgress, signal } = options;
  const valShare = options.valShare ?? DEFAULT_VAL_SHARE;
  const onRead = (done: number, total: number) => {
    onProgress?.({ phase: "counting characters", done, total, tokens: 0 });
    signal?.throwIfAborted();
  };
  const input = await findSections({ files, valShare, documentSeparator, field, onRead });
  const defaultWorkers = input.bytes < MIN_BYTES_FOR_WORKERS ? 0 : availableParallelism();
  return {
    out,
    input,
    separator: documentSeparator === undefined ? null : Buffer.from(documentSeparator),
    field: field ?? "text",
    shardTokens: options.shardTokens ?? DEFAULT_SHARD_TOKENS,
    tokenizerSample,
    workers: options.workers ?? defaultWorkers,
    checkpointSeconds: options.checkpointSeconds ?? 5,
    onProgress,
    signal,
  };
}

/** Returns the tokenizer of the folder: the given one, or one that is trained only once. */
async function getTokenizer(tokenizer: PrepareOptions["tokenizer"], job: Job): Promise<Tokenizer> {
  const file = join(job.out, "tokenizer.json");
  if (fs.existsSync(file)) return loadTokenizer(file);
  const result = "kind" in tokenizer ? await trainOnInput(tokenizer, job) : tokenizer;
  writeJSON(file, result);
  return result;
}
