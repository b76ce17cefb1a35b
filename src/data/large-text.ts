// Texts that are too large for the memory: they are encoded once, into token shards in the user's
// cache folder, which later runs, evaluations and resumed runs find by the checksum of the text.

import { createHash } from "node:crypto";
import { existsSync, readdirSync, rmSync, statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { cacheFile, cacheFolders } from "../cache.ts";
import { FolderInUseError, findLocalOwner, lockFolder, lockName } from "../files/lock.ts";
import { tokenizerSha256 } from "../tokenizers/io.ts";
import type { Tokenizer } from "../tokenizers/tokenizer.ts";
import { readContent } from "./prepare/content.ts";
import { isJSONLines } from "./prepare/input.ts";
import type { OnPrepareProgress, PrepareProgress } from "./prepare/job.ts";
import { prepareShards, type TrainingRequest } from "./prepare/prepare.ts";
import { readManifest } from "./shards/manifest.ts";
import { openShards, type ShardData } from "./shards/open.ts";

/** The size in bytes above which a text does not stay in memory. */
export const MAX_TEXT_IN_MEMORY = 2 ** 26;

/** The number of times that other processes may be first to lock the folder. */
const MAX_ATTEMPTS = 10;

/** The tokens of a text: a tokenizer, or how to train one on it. */
export type TokenizerChoice = Tokenizer | TrainingRequest;

/**
 * Returns true for a text file above that size. JSON lines stay in memory, because prepareShards()
 * would encode one of their fields instead of the text of the file.
 */
export function isLargeText(file: string): boolean {
  if (isJSONLines(file) || !existsSync(file)) return false;
  const stat = statSync(file);
  return stat.isFile() && stat.size > MAX_TEXT_IN_MEMORY;
}

/**
 * Returns the token shards of a text file. They have the same tokens as the text in memory, in the
 * same splits. Throws a FileError if the text is not valid UTF-8.
 */
export async function openLargeText(
  file: string,
  tokenizer: TokenizerChoice,
  onProgress?: OnPrepareProgress,
): Promise<ShardData> {
  const sha256 = await hashText(file);
  const folder = findPrepared(sha256, tokenizer) ?? cacheFolder(sha256, describe(tokenizer));
  let isCleared = false;
  for (let attempt = 1; ; attempt++) {
    await waitForOwner(folder, onProgress);
    let hasProgress = false;
    const onEncoding = (progress: PrepareProgress) => {
      hasProgress = true;
      onProgress?.(progress);
    };
    try {
      if (!readManifest(folder))
        await prepareShards({ files: [file], out: folder, tokenizer, onProgress: onEncoding });
      return { ...openShards(folder), name: file, source: resolve(file), sha256 };
    } catch (error) {
      if (error instanceof FolderInUseError && attempt < MAX_ATTEMPTS) continue;
      if (hasProgress || isCleared || !existsSync(folder)) throw error;
      // it is damaged, or the beginning for a file that has been moved or touched since
      clearFolder(folder);
      isCleared = true;
    }
  }
}

/** Waits while another call, mostly of another training, encodes the same text into a folder. */
async function waitForOwner(folder: string, onProgress?: OnPrepareProgress): Promise<void> {
  const interval = 200; // milliseconds
  while (!isComplete(folder) && findLocalOwner(folder) !== null) {
    onProgress?.({ phase: "waiting for another training", done: 0, total: 0, tokens: 0 });
    await sleep(interval);
  }
}

/** The manifest is written when all shards are. */
function isComplete(folder: string): boolean {
  try {
    return readManifest(folder) !== null;
  } catch {
    return false; // it is damaged
  }
}

/** Removes the content of a folder. Throws a UsageError if another process writes to it. */
function clearFolder(folder: string): void {
  const lock = lockFolder(folder);
  try {
    for (const name of readdirSync(folder))
      if (!name.startsWith(lockName)) rmSync(join(folder, name), { recursive: true, force: true });
  } finally {
    lock.release();
  }
}

/** Returns the SHA-256 of a text without its byte order mark. */
async function hashText(file: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const { bytes } of readContent(file)) hash.update(bytes);
  return hash.digest("hex");
}

function cacheFolder(sha256: string, tokenizer: string): string {
  return cacheFile(join("shards", `${sha256.slice(0, 16)}-${tokenizer}`));
}

/** Names a tokenizer by its checksum, or by what determines the one that is trained. */
function describe(tokenizer: TokenizerChoice): string {
  if (!("kind" in tokenizer)) return tokenizerSha256(tokenizer).slice(0, 16);
  return "vocabSize" in tokenizer ? `${tokenizer.kind}-${tokenizer.vocabSize}` : tokenizer.kind;
}

/** Returns the folder of a text that another call has prepared with the same tokenizer. */
function findPrepared(sha256: string, tokenizer: TokenizerChoice): string | undefined {
  if ("kind" in tokenizer) return undefined;
  const checksum = tokenizerSha256(tokenizer);
  return cacheFolders()
    .map((cache) => join(cache, "shards"))
    .filter(existsSync)
    .flatMap((parent) => readdirSync(parent).map((name) => join(parent, name)))
    .filter((folder) => basename(folder).startsWith(`${sha256.slice(0, 16)}-`))
    .find((folder) => hasTokenizer(folder, checksum));
}

function hasTokenizer(folder: string, checksum: string): boolean {
  try {
    return readManifest(folder)?.tokenizerSha256 === checksum;
  } catch {
    return false; // a damaged folder
  }
}
