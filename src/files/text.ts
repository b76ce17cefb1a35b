// Reads whole files that come from users: texts and configuration. Only regular files are read, so
// a named pipe or a device in the place of a file cannot block the program or fill its memory.

import { isUtf8 } from "node:buffer";
import * as fs from "node:fs";
import { MAX_IO_BYTES } from "./durable.ts";
import { describeKind, FileError, toFileError } from "./file-error.ts";

export { FileError };

/** The maximum length of a string in V8, in UTF-16 code units: 2^29 - 24. */
export const MAX_TEXT_LENGTH = 2 ** 29 - 24;

/** The maximum size of a text in bytes: UTF-8 has at most 3 bytes for each UTF-16 code unit. */
export const MAX_TEXT_BYTES = 3 * MAX_TEXT_LENGTH;

/**
 * Reads a regular file of at most `maxBytes` bytes. Throws a FileError for anything else: a missing
 * file, a folder, a named pipe, a device, a socket, or a larger file.
 */
export function readBytes(file: string, maxBytes: number): Buffer {
  return withRegularFile(file, (fd, size) => {
    if (size > maxBytes) {
      const sizes = `${formatCount(size)} bytes, expected at most ${formatCount(maxBytes)}`;
      throw new FileError(`${file}: has ${sizes}`);
    }
    const bytes = Buffer.allocUnsafe(size);
    let done = 0;
    while (done < size) {
      const count = fs.readSync(fd, bytes, done, Math.min(size - done, MAX_IO_BYTES), done);
      if (count === 0) break; // another process has truncated the file since
      done += count;
    }
    return bytes.subarray(0, done);
  });
}

/**
 * Opens a regular file, passes its descriptor and its size in bytes to `use`, and closes it again.
 * Throws a FileError if the file cannot be opened or is not a regular file.
 */
export function withRegularFile<T>(file: string, use: (fd: number, size: number) => T): T {
  const fd = openRegularFile(file);
  try {
    return use(fd, fs.fstatSync(fd).size);
  } finally {
    fs.closeSync(fd);
  }
}

/**
 * Opens a regular file for reading and returns its descriptor. Throws a FileError if it cannot be
 * opened or is not a regular file.
 */
export function openRegularFile(file: string): number {
  // O_NONBLOCK (undefined on Windows): opening a named pipe does not wait for a writer
  const flags = fs.constants.O_RDONLY | (fs.constants.O_NONBLOCK ?? 0);
  let fd: number;
  try {
    fd = fs.openSync(file, flags);
  } catch (cause) {
    throw toFileError(file, cause);
  }
  const stat = fs.fstatSync(fd);
  if (stat.isFile()) return fd;
  fs.closeSync(fd);
  throw new FileError(`${file}: ${describeKind(stat)}, expected a file`);
}

/**
 * Reads a text file in UTF-8; a byte order mark at its start is dropped. Throws a FileError that
 * says what is wrong: not a regular file, another encoding, or a text that is too long.
 */
export function readText(file: string, maxBytes = MAX_TEXT_BYTES): string {
  return decodeText(file, readBytes(file, maxBytes));
}

/** Decodes the content of a text file like readText(). */
export function decodeText(file: string, bytes: Uint8Array): string {
  if (!isUtf8(bytes)) throw new FileError(`${file}: ${describeInvalidUtf8(bytes)}`);
  try {
    return new TextDecoder("utf-8").decode(bytes);
  } catch (cause) {
    const limit = `expected at most ${formatCount(MAX_TEXT_LENGTH)} characters`;
    const size = `${formatCount(bytes.length)} bytes`;
    throw new FileError(`${file}: has ${size}, which is too long for a text: ${limit}`, { cause });
  }
}

/** Describes why bytes are not text in UTF-8. `offset` is that of the first one in the file. */
export function describeInvalidUtf8(bytes: Uint8Array, offset = 0): string {
  const [first, second] = bytes;
  const isMark = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
  if (isMark && offset === 0) return "text in UTF-16, expected UTF-8; save it as UTF-8";
  const position = formatCount(offset + findInvalidByte(bytes));
  return `not text in UTF-8: the byte at offset ${position} is invalid`;
}

/** Returns the offset of the first byte that is not valid UTF-8. */
function findInvalidByte(bytes: Uint8Array): number {
  const chunk = 2 ** 16;
  let start = 0;
  let decoder = new TextDecoder("utf-8", { fatal: true });
  const canDecode = (begin: number, end: number) => {
    try {
      decoder.decode(bytes.subarray(begin, end), { stream: true });
      return true;
    } catch {
      return false;
    }
  };
  while (start < bytes.length && canDecode(start, start + chunk)) start += chunk;
  // a sequence may begin before the chunk that shows it to be invalid
  let offset = Math.max(0, start - 3);
  while (offset > 0 && (bytes[offset] & 0xc0) === 0x80) offset--;
  decoder = new TextDecoder("utf-8", { fatal: true });
  while (offset < bytes.length && canDecode(offset, offset + 1)) offset++;
  return Math.min(offset, bytes.length - 1);
}

/** Formats a count with separators: 536,870,888. */
function formatCount(n: number): string {
  return n.toLocaleString("en-US");
}
