// The files of token shards: llm.c's, which begin with a header of 256 32-bit integers, and
// nanoGPT's train.bin and val.bin, which hold 16-bit tokens and nothing else. Little-endian.

import { isUtf8 } from "node:buffer";
import { FileError } from "../../files/file-error.ts";

/** The type of the tokens in a file. */
export type TokenDType = "uint16" | "uint32";

/** The bytes of a token. */
export const tokenBytes = { uint16: 2, uint32: 4 } as const;

/** The layout of a shard, which its beginning and its size determine. */
export interface ShardFormat {
  readonly dtype: TokenDType;
  /** The offset of the first token in bytes: 1024, or 0 without a header. */
  readonly offset: number;
  /** The number of tokens. */
  readonly tokens: number;
}

/** The bytes at the beginning of a file that show its format. */
export const HEAD_BYTES = 4096;

/** The size of the header in bytes. */
export const HEADER_BYTES = 1024;

/** The most tokens in a shard: the header counts them in an int32. */
export const MAX_SHARD_TOKENS = 2 ** 31 - 1;

/** The first two integers of a header. */
const headers = {
  uint16: { magic: 20240520, version: 1 },
  uint32: { magic: 20240801, version: 7 },
} as const;

/** The first integer of llm.c's files of HellaSwag. */
const EVALUATION_MAGIC = 20240522;

/** Returns the header of a shard. */
export function encodeHeader(dtype: TokenDType, tokens: number): Uint8Array {
  if (!Number.isSafeInteger(tokens) || tokens < 0 || tokens > MAX_SHARD_TOKENS)
    throw new RangeError(`shard: tokens is ${tokens}, expected 0 to ${MAX_SHARD_TOKENS}`);
  const { magic, version } = headers[dtype];
  const view = new DataView(new ArrayBuffer(HEADER_BYTES));
  [magic, version, tokens].forEach((value, i) => {
    view.setInt32(4 * i, value, true);
  });
  return new Uint8Array(view.buffer);
}

/** Returns the type of tokens below vocabSize. */
export function tokenDType(vocabSize: number): TokenDType {
  return vocabSize <= 2 ** 16 ? "uint16" : "uint32";
}

/** Returns true if a file begins with the magic number of a shard with a header. */
export function hasMagic(head: Uint8Array): boolean {
  if (head.length < 4) return false;
  const magic = new DataView(head.buffer, head.byteOffset).getInt32(0, true);
  return Object.values(headers).some((header) => header.magic === magic);
}

/**
 * Returns the format of a shard of `size` bytes that begins with `head`, its first 4096 bytes or
 * all. A file without a header is accepted only if `allowsRaw`. Throws a FileError that says what
 * is wrong.
 */
export function parseFormat(
  file: string,
  head: Uint8Array,
  size: number,
  { allowsRaw = false } = {},
): ShardFormat {
  if (size === 0) throw new FileError(`${file}: empty, expected tokens`);
  if (hasMagic(head)) return parseHeader(file, head, size);
  const problem = describeOtherContent(head, size);
  if (problem) throw new FileError(`${file}: ${problem}`);
  if (!allowsRaw) {
    const expected = `${headers.uint16.magic} or ${headers.uint32.magic}`;
    const found =
      head.length < 4
        ? `has ${size} bytes, expected a header of ${HEADER_BYTES}`
        : `the number at offset 0 is ${readInt32(head, 0)}, expected ${expected}`;
    throw new FileError(
      `${file}: not a token shard: ${found}; ` +
        "without a header, tokens must be in files named train.bin and val.bin",
    );
  }
  if (size % 2 !== 0)
    throw new FileError(`${file}: has ${size} bytes, expected 16-bit tokens: an even number`);
  if (hasWiderTokens(head))
    throw new FileError(
      `${file}: every second 16-bit number is 0, so the tokens have 32 or 64 bits; ` +
        "write them as uint16, or as uint32 with a header",
    );
  return { dtype: "uint16", offset: 0, tokens: size / 2 };
}

function parseHeader(file: string, head: Uint8Array, size: number): ShardFormat {
  if (size < HEADER_BYTES)
    throw new FileError(
      `${file}: has ${size} bytes, expected a header of ${HEADER_BYTES}: the file is cut off`,
    );
  const magic = readInt32(head, 0);
  const dtype = magic === headers.uint16.magic ? "uint16" : "uint32";
  const version = readInt32(head, 4);
  if (version !== headers[dtype].version)
    throw new FileError(
      `${file}: the version at offset 4 is ${version}, expected ${headers[dtype].version}`,
    );
  const tokens = readInt32(head, 8);
  if (tokens < 0)
    throw new FileError(
      `${file}: the number of tokens at offset 8 is ${tokens}, expected 0 or more`,
    );
  const expected = HEADER_BYTES + tokenBytes[dtype] * tokens;
  if (size !== expected) {
    const change = size < expected ? "cut off" : "too long";
    throw new FileError(
      `${file}: has ${size} bytes, expected ${expected} for the ${tokens} tokens of its header: ` +
        `the file is ${change}`,
    );
  }
  return { dtype, offset: HEADER_BYTES, tokens };
}

/** Describes a file that is certainly not a shard; undefined if it may be one without a header. */
function describeOtherContent(head: Uint8Array, size: number): string | undefined {
  const signatures: [signature: number[], what: string][] = [
    [[0x50, 0x41, 0x52, 0x31], "a Parquet file"],
    [[0x93, 0x4e, 0x55, 0x4d], "a NumPy file (.npy); write the tokens with tofile()"],
    [[0x1f, 0x8b], "compressed by gzip; decompress it"],
    [[0x28, 0xb5, 0x2f, 0xfd], "compressed by zstd; decompress it"],
    [[0x50, 0x4b, 0x03, 0x04], "a ZIP file"],
  ];
  for (const [signature, what] of signatures)
    if (signature.every((byte, i) => head[i] === byte)) return `${what}, expected a token shard`;
  if (head.length >= 12) {
    const magic = readInt32(head, 0);
    const version = readInt32(head, 4);
    const tokens = readInt32(head, 8);
    if (magic === EVALUATION_MAGIC)
      return "questions of an evaluation such as HellaSwag, expected a token shard";
    const bigEndian = new DataView(head.buffer, head.byteOffset).getInt32(0);
    if (Object.values(headers).some((header) => header.magic === bigEndian))
      return "the header is big-endian, expected little-endian";
    for (const [dtype, header] of Object.entries(headers)) {
      const expected = HEADER_BYTES + tokenBytes[dtype as TokenDType] * tokens;
      if (version === header.version && size === expected)
        return `the magic number at offset 0 is ${magic}, expected ${header.magic}`;
    }
  }
  if (looksLikeText(head)) return "text, expected tokens; the command prepare makes them of text";
  return undefined;
}

/** Returns true for UTF-8 without control characters, which tokens have: ids below 256. */
export function looksLikeText(head: Uint8Array): boolean {
  let end = head.length; // not in the middle of a character
  while (end > 0 && (head[end - 1] & 0xc0) === 0x80) end--;
  if (end > 0 && head[end - 1] >= 0xc0) end--;
  const isControl = (byte: number) => byte < 0x20 && ![9, 10, 12, 13].includes(byte);
  return !head.some(isControl) && isUtf8(head.subarray(0, end));
}

/** Returns true for numbers below 2^16 of 32 or 64 bits: each second 16-bit number is 0. */
function hasWiderTokens(head: Uint8Array): boolean {
  const numbers = new Uint16Array(head.slice(0, head.length & ~1).buffer);
  const isZero = (parity: number) => numbers.every((n, i) => i % 2 !== parity || n === 0);
  return numbers.length >= 16 && isZero(1) && !isZero(0);
}

function readInt32(bytes: Uint8Array, offset: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getInt32(offset, true);
}
