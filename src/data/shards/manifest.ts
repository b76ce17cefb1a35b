// manifest.json of a folder of token shards that tinybard has prepared: the files, their lengths
// and checksums, and the tokenizer. It is written last, so that a folder without it is unfinished.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { quote } from "../../errors.ts";
import { writeJSON } from "../../files/durable.ts";
import { FileError } from "../../files/file-error.ts";
import { isObject, MAX_TABLE_BYTES, readJSONObject } from "../../files/json.ts";
import { MAX_SHARD_TOKENS, type TokenDType, tokenBytes } from "./format.ts";

/** The name of the file, and the value of its field `format`. */
export const manifestName = "manifest.json";
const FORMAT = "tinybard-shards";

/** The part of the data that a shard belongs to: training, or validation. */
export type Split = "train" | "val";

/** A shard of a manifest. */
export interface ShardEntry {
  /** Its name in the folder. */
  readonly file: string;
  readonly split: Split;
  readonly tokens: number;
  /** The bytes of its text in UTF-8, from which bits per byte are computed. */
  readonly bytes: number;
  readonly documents: number;
  /** Of the whole file, in hexadecimal. */
  readonly sha256: string;
}

export interface Manifest {
  readonly vocabSize: number;
  readonly tokenizerSha256: string;
  readonly dtype: TokenDType;
  /** The id of the token between documents, or null. */
  readonly separator: number | null;
  readonly shards: readonly ShardEntry[];
}

/** Writes the manifest of a folder atomically. */
export function writeManifest(folder: string, manifest: Manifest): void {
  const { vocabSize, tokenizerSha256, dtype, separator, shards } = manifest;
  const fields = { vocabSize, tokenizerSha256, dtype, separator, shards };
  writeJSON(join(folder, manifestName), { format: FORMAT, version: 1, ...fields });
}

/**
 * Reads the manifest of a folder. Returns null if there is none, or one of another program. Throws
 * a FileError if a field is missing or has a wrong type.
 */
export function readManifest(folder: string): Manifest | null {
  const file = join(folder, manifestName);
  if (!existsSync(file)) return null;
  const fields = readJSONObject(file, MAX_TABLE_BYTES);
  if (fields.format !== FORMAT) return null;
  const check = makeCheck(file, "", fields);
  check("version", fields.version === 1, "1");
  check("vocabSize", isCount(fields.vocabSize) && fields.vocabSize > 0, "a whole number above 0");
  check("tokenizerSha256", isSha256(fields.tokenizerSha256), "a SHA-256 in hexadecimal");
  const dtypes = Object.keys(tokenBytes);
  check("dtype", dtypes.includes(fields.dtype as string), dtypes.join(" or "));
  const { vocabSize, separator } = fields as { vocabSize: number; separator: unknown };
  const isToken = isCount(separator) && separator < vocabSize;
  check("separator", separator === null || isToken, "a token below vocabSize, or null");
  check("shards", Array.isArray(fields.shards), "a list");
  const names = new Set<unknown>();
  for (const [i, shard] of (fields.shards as unknown[]).entries()) {
    if (!isObject(shard)) throw new FileError(`${file}: shards[${i}] is not an object`);
    checkEntry(makeCheck(file, `shards[${i}].`, shard), shard);
    if (names.has(shard.file))
      throw new FileError(`${file}: shards[${i}].file is ${quote(shard.file)} for the second time`);
    names.add(shard.file);
  }
  return fields as unknown as Manifest;
}

type Check = (name: string, isValid: boolean, expected: string) => void;

function checkEntry(
  check: Check,
  {
    file,
    split,
    tokens,
    bytes,
    documents,
    sha256,
  }: object & {
    [name: string]: unknown;
  },
): void {
  // a name, so that no file outside the folder is read
  const isName = typeof file === "string" && /^[^/\\\0]+$/.test(file) && !/^\.*$/.test(file);
  check("file", isName, "the name of a file in the folder");
  check("split", split === "train" || split === "val", "train or val");
  check("tokens", isCount(tokens) && tokens <= MAX_SHARD_TOKENS, `0 to ${MAX_SHARD_TOKENS}`);
  check("bytes", isCount(bytes), "a whole number from 0 up");
  check("documents", isCount(documents), "a whole number from 0 up");
  check("sha256", isSha256(sha256), "a SHA-256 in hexadecimal");
}

/** Returns a function that throws a FileError if a field is not valid. */
function makeCheck(file: string, prefix: string, fields: Record<string, unknown>): Check {
  return (name, isValid, expected) => {
    if (isValid) return;
    throw new FileError(
      `${file}: ${prefix}${name} is ${quote(fields[name])}, expected ${expected}`,
    );
  };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isSha256(value: unknown): boolean {
  return typeof value === "string" && /^[0-9a-f]{64}$/.test(value);
}
