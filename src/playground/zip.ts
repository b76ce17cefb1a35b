// Reads and writes zip archives (PKWARE's APPNOTE.TXT). Files are stored without compression: the
// weights of a model hardly compress. Compressed archives of other programs can be read.

import type { RunFiles } from "./protocol.ts";

/** An archive is damaged, or uses a feature that is not supported. */
export class ZipError extends Error {
  override name = "ZipError";
}

const LOCAL_HEADER = 0x04034b50;
const CENTRAL_HEADER = 0x02014b50;
const END_RECORD = 0x06054b50;
const END_RECORD_BYTES = 22; // without the comment
const MAX_COMMENT_BYTES = 2 ** 16 - 1;
const UTF8_NAMES = 0x0800;
/** The largest total size of the files of an archive that is read. */
const MAX_BYTES = 2 ** 30;
const MAX_FILES = 1000;

/** Returns an archive of files, in their order. */
export function writeZip(files: RunFiles): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  const directory: Uint8Array<ArrayBuffer>[] = [];
  let offset = 0;
  for (const [path, content] of files) {
    const name = new TextEncoder().encode(path);
    const fields = [20, UTF8_NAMES, 0, 0, DATE, crc32(content), content.length, content.length];
    const local = record("IHHHHHIIIHH", LOCAL_HEADER, ...fields, name.length, 0);
    const rest = [name.length, 0, 0, 0, 0, 0, offset];
    directory.push(record("IHHHHHHIIIHHHHHII", CENTRAL_HEADER, 20, ...fields, ...rest), name);
    parts.push(local, name, content);
    offset += local.length + name.length + content.length;
  }
  const size = directory.reduce((sum, { length }) => sum + length, 0);
  const count = files.size;
  const end = record("IHHHHIIH", END_RECORD, 0, 0, count, count, size, offset, 0);
  return concatenate([...parts, ...directory, end]);
}

/** 1980-01-01, the earliest date, so that equal files give equal archives. */
const DATE = (1 << 5) | 1;

/** Returns little-endian numbers of the given sizes: H has 16 bits, I has 32. */
function record(sizes: string, ...values: number[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array([...sizes].reduce((sum, size) => sum + (size === "H" ? 2 : 4), 0));
  const view = new DataView(bytes.buffer);
  let offset = 0;
  for (const [i, size] of [...sizes].entries()) {
    if (size === "H") view.setUint16(offset, values[i], true);
    else view.setUint32(offset, values[i], true);
    offset += size === "H" ? 2 : 4;
  }
  return bytes;
}

export function concatenate(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}

/** Returns the files of an archive by their paths. Throws a ZipError if it is damaged. */
export async function readZip(archive: Uint8Array<ArrayBuffer>): Promise<RunFiles> {
  try {
    return await readEntries(archive);
  } catch (cause) {
    if (cause instanceof ZipError) throw cause;
    // reading past the end is a RangeError, damaged compressed data a TypeError
    throw new ZipError("zip: the archive is damaged", { cause });
  }
}

async function readEntries(archive: Uint8Array<ArrayBuffer>): Promise<RunFiles> {
  const view = new DataView(archive.buffer, archive.byteOffset, archive.byteLength);
  const end = findEndRecord(view);
  const count = view.getUint16(end + 10, true);
  if (count > MAX_FILES) throw new ZipError(`zip: ${count} files, expected at most ${MAX_FILES}`);
  const files: RunFiles = new Map();
  let offset = view.getUint32(end + 16, true);
  let total = 0;
  for (let i = 0; i < count; i++) {
    if (view.getUint32(offset, true) !== CENTRAL_HEADER) throw new ZipError("zip: damaged index");
    const method = view.getUint16(offset + 10, true);
    const checksum = view.getUint32(offset + 16, true);
    const compressedSize = view.getUint32(offset + 20, true);
    const size = view.getUint32(offset + 24, true);
    const nameLength = view.getUint16(offset + 28, true);
    const extraLength = view.getUint16(offset + 30, true);
    const commentLength = view.getUint16(offset + 32, true);
    const local = view.getUint32(offset + 42, true);
    const path = new TextDecoder().decode(archive.subarray(offset + 46, offset + 46 + nameLength));
    offset += 46 + nameLength + extraLength + commentLength;
    if (path.endsWith("/")) continue; // a folder
    total += size;
    if (total > MAX_BYTES) throw new ZipError("zip: more than 1 GB of files");
    const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    if (start + compressedSize > archive.length) throw new ZipError(`zip: ${path} is cut off`);
    const stored = archive.slice(start, start + compressedSize);
    const content = method === 0 ? stored : await inflate(stored, method, size);
    if (content.length !== size || crc32(content) !== checksum)
      throw new ZipError(`zip: ${path} is damaged`);
    files.set(path, content);
  }
  return files;
}

/** Returns the position of the record at the end, which contains a comment. */
function findEndRecord(view: DataView): number {
  const last = view.byteLength - END_RECORD_BYTES;
  for (let i = last; i >= Math.max(0, last - MAX_COMMENT_BYTES); i--)
    if (view.getUint32(i, true) === END_RECORD) return i;
  throw new ZipError("zip: not a zip archive");
}

/** Decompresses data to at most `size` bytes. */
async function inflate(
  data: Uint8Array<ArrayBuffer>,
  method: number,
  size: number,
): Promise<Uint8Array<ArrayBuffer>> {
  if (method !== 8) throw new ZipError(`zip: compression method ${method} is not supported`);
  const stream = new Blob([data]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  const parts: Uint8Array[] = [];
  let length = 0;
  const reader = (stream as ReadableStream<Uint8Array>).getReader();
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    length += read.value.length;
    if (length > size) throw new ZipError("zip: a file is longer than its index says");
    parts.push(read.value);
  }
  return concatenate(parts);
}

const crcTable = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
  return c;
});

/** Returns the CRC-32 of bytes. */
function crc32(bytes: Uint8Array): number {
  let c = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) c = (c >>> 8) ^ crcTable[(c ^ bytes[i]) & 0xff];
  return (c ^ 0xffffffff) >>> 0;
}
