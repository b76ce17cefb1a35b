// Opens the token shards of a training: their files, their tokenizer, and what identifies them.

import { existsSync, readSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { UsageError } from "../../errors.ts";
import { FileError } from "../../files/file-error.ts";
import { sha256, sha256OfFiles } from "../../files/sha256.ts";
import { withRegularFile } from "../../files/text.ts";
import { loadTokenizer, tokenizerSha256 } from "../../tokenizers/io.ts";
import type { Tokenizer } from "../../tokenizers/tokenizer.ts";
import { type FoundShards, findShards } from "./find.ts";
import { type Manifest, manifestName, type Split } from "./manifest.ts";
import { ShardFile } from "./shard-file.ts";
import { TokenShards } from "./token-shards.ts";

/** Token shards as training data. */
export interface ShardData {
  /** The display name. */
  name: string;
  /** The path that opens them again: of a large text, that of the text. */
  source: string;
  /** The path of the shards themselves. */
  place: string;
  /** The tokenizer beside the shards, if there is one. */
  tokenizer: Tokenizer | null;
  /** Identifies the data, which a resumed run must have: of a large text, the text's checksum. */
  sha256: string;
  /** Identifies the shards themselves. */
  shardsSha256: string;
  manifest: Manifest | null;
  /** Returns the tokens of both splits. Ids that are not below vocabSize are errors. */
  open(vocabSize: number): { train: TokenShards; val: TokenShards };
}

/** The size in bytes up to which all shards are read at the start, to check their content. */
const MAX_CHECKED_BYTES = 256e6;

/** The bytes at the beginning and at the end that identify a larger set without a manifest. */
const SAMPLE_BYTES = 2 ** 16;

/** Opens the shards that `data` names. Throws a UsageError or a FileError if that fails. */
export function openShards(data: string): ShardData {
  const found = findShards(data);
  const train = found.train.map((file) => new ShardFile(file));
  const val = found.val.map((file) => new ShardFile(file));
  const files = [...train, ...val];
  checkDTypes(files);
  const isSmall = files.reduce((sum, { size }) => sum + size, 0) <= MAX_CHECKED_BYTES;
  const checksums = isSmall ? files.map(({ file }) => sha256OfFiles([file])) : null;
  if (found.manifest) checkManifest(found.manifest, found.folder, files, checksums);
  const sha256 = identify(found, files, checksums);
  return {
    name: data,
    source: resolve(data),
    place: resolve(data),
    tokenizer: openTokenizer(found),
    sha256,
    shardsSha256: sha256,
    manifest: found.manifest,
    open(vocabSize) {
      if (isSmall) for (const file of files) file.checkTokens(vocabSize);
      return {
        train: new TokenShards(train, vocabSize, countBytes(found.manifest, "train")),
        val: new TokenShards(val, vocabSize, countBytes(found.manifest, "val")),
      };
    },
  };
}

/**
 * Opens this host's copy of the shards that another process has opened: at `own`, or at the same
 * path. Throws a UsageError if there are none, or others.
 */
export function openCopy(
  { place, sha256: expected }: { place: string; sha256: string },
  own?: string,
): ShardData {
  const problems: string[] = [];
  for (const path of new Set([...(own === undefined ? [] : [resolve(own)]), place])) {
    try {
      const shards = openShards(path);
      if (shards.shardsSha256 === expected) return shards;
      problems.push(`${path} has other shards`);
    } catch (error) {
      problems.push((error as Error).message.replace(/^data: /, ""));
    }
  }
  throw new UsageError(
    `data: rank 0 reads the token shards ${place}, but this host has no copy: ` +
      `${problems.join("; ")}; prepare a large text with tinybard prepare, and copy the folder ` +
      "to the same path on every host",
  );
}

/** Returns the bytes of the text of a split, or null if they are not known. */
function countBytes(manifest: Manifest | null, split: Split): number | null {
  const shards = manifest?.shards.filter((shard) => shard.split === split) ?? [];
  return shards.reduce((sum, { bytes }) => sum + bytes, 0) || null;
}

/** All tokens come from one tokenizer, so all have the same width. */
function checkDTypes(files: readonly ShardFile[]): void {
  const [first] = files;
  for (const { file, format } of files) {
    if (format.dtype === first.format.dtype) continue;
    throw new UsageError(
      `data: ${file} has tokens of ${format.dtype}, but ${first.file} of ${first.format.dtype}: ` +
        "they come from different tokenizers",
    );
  }
}

/** Compares the files, and their checksums if they are known, with their manifest. */
function checkManifest(
  manifest: Manifest,
  folder: string,
  files: readonly ShardFile[],
  checksums: readonly string[] | null,
): void {
  const entries = new Map(manifest.shards.map((entry) => [join(folder, entry.file), entry]));
  for (const [i, { file, format, tokens }] of files.entries()) {
    const entry = entries.get(file);
    if (!entry) continue;
    const check = (what: string, found: unknown, expected: unknown) => {
      if (found === expected) return;
      throw new FileError(`${file}: ${what} is ${found}, but ${expected} in ${manifestName}`);
    };
    check("the number of tokens", tokens, entry.tokens);
    check("the type of tokens", format.dtype, manifest.dtype);
    if (checksums) check("the SHA-256", checksums[i], entry.sha256);
  }
}

/** Loads the tokenizer in the folder of the shards, and compares it with their manifest. */
function openTokenizer({ folder, manifest }: FoundShards): Tokenizer | null {
  const file = join(folder, "tokenizer.json");
  if (!existsSync(file)) {
    if (!manifest) return null;
    throw new FileError(`${file}: no such file, but ${manifestName} names its checksum`);
  }
  const tokenizer = loadTokenizer(file);
  if (!manifest) return tokenizer;
  if (tokenizerSha256(tokenizer) !== manifest.tokenizerSha256)
    throw new FileError(`${file}: not the tokenizer that ${manifestName} names: other checksum`);
  if (tokenizer.vocabSize !== manifest.vocabSize)
    throw new FileError(
      `${file}: has ${tokenizer.vocabSize} tokens, but ${manifestName} has ${manifest.vocabSize}`,
    );
  return tokenizer;
}

/**
 * Hashes names and contents: by their checksums, those in the manifest, or without both by their
 * sizes, beginnings and ends.
 */
function identify(
  { manifest }: FoundShards,
  files: readonly ShardFile[],
  checksums: readonly string[] | null,
): string {
  const recorded = new Map(manifest?.shards.map((entry) => [entry.file, entry.sha256]));
  const entries = files.map((shard, i) => {
    const name = basename(shard.file);
    const content = checksums?.[i] ?? recorded.get(name) ?? sha256(readSample(shard));
    return [name, shard.tokens, content];
  });
  return sha256(JSON.stringify(entries));
}

function readSample({ file, size }: ShardFile): Uint8Array {
  return withRegularFile(file, (fd) => {
    const bytes = new Uint8Array(2 * SAMPLE_BYTES);
    readSync(fd, bytes, 0, SAMPLE_BYTES, 0);
    readSync(fd, bytes, SAMPLE_BYTES, SAMPLE_BYTES, Math.max(0, size - SAMPLE_BYTES));
    return bytes;
  });
}
