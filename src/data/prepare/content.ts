// Reads input files of any size from any offset: text as it is, and gzip decompressed.

import * as fs from "node:fs";
import { Readable } from "node:stream";
import { setImmediate } from "node:timers/promises";
import { createGunzip } from "node:zlib";
import { FileError, toFileError } from "../../files/file-error.ts";
import { openRegularFile } from "../../files/text.ts";

const CHUNK_BYTES = 2 ** 20;

/** The content of an input file is not valid. */
export class InputError extends FileError {}

/** A part of the content of a file. */
export interface Chunk {
  readonly bytes: Buffer;
  /** Its beginning in the content. */
  readonly offset: number;
  /** The number of bytes of the file, perhaps compressed, that have been read so far. */
  readonly read: number;
}

/**
 * Yields the content of a file from an offset on, decompressed if it is gzip. A byte order mark at
 * offset 0 is left out. Throws a FileError if the file cannot be read, and an InputError if its
 * gzip data are damaged.
 */
export async function* readContent(file: string, start = 0): AsyncGenerator<Chunk> {
  const fd = openRegularFile(file);
  try {
    const chunks = isGzip(fd) ? decompress(fd, start) : readPlain(fd, start);
    for await (const chunk of chunks) {
      yield chunk.offset === 0 ? withoutMark(chunk) : chunk;
      await setImmediate(); // signals are handled between chunks
    }
  } catch (error) {
    throw toContentError(file, error);
  } finally {
    fs.closeSync(fd);
  }
}

/** Returns true for the first bytes of gzip, with which no text in UTF-8 begins. */
function isGzip(fd: number): boolean {
  const head = Buffer.alloc(2);
  return fs.readSync(fd, head, 0, 2, 0) === 2 && head[0] === 0x1f && head[1] === 0x8b;
}

function* readPlain(fd: number, start: number): Generator<Chunk> {
  for (let offset = start; ; ) {
    const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
    const count = fs.readSync(fd, buffer, 0, CHUNK_BYTES, offset);
    if (count === 0) return;
    yield { bytes: buffer.subarray(0, count), offset, read: offset + count };
    offset += count;
  }
}

async function* decompress(fd: number, start: number): AsyncGenerator<Chunk> {
  const compressed = function* () {
    for (const { bytes } of readPlain(fd, 0)) yield bytes;
  };
  const source = Readable.from(compressed());
  const gunzip = createGunzip({ chunkSize: 2 ** 16 });
  source.on("error", (error) => gunzip.destroy(error));
  source.pipe(gunzip);
  let offset = 0;
  try {
    for await (const bytes of gunzip as AsyncIterable<Buffer>) {
      const end = offset + bytes.length;
      if (end > start) {
        const begin = Math.max(offset, start);
        yield { bytes: bytes.subarray(begin - offset), offset: begin, read: gunzip.bytesWritten };
      }
      offset = end;
    }
  } finally {
    source.destroy();
    gunzip.destroy();
  }
}

/** Returns a chunk without the byte order mark that it may begin with. */
function withoutMark(chunk: Chunk): Chunk {
  const { bytes, read } = chunk;
  const hasMark = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  return hasMark ? { bytes: bytes.subarray(3), offset: 3, read } : chunk;
}

function toContentError(file: string, error: unknown): FileError {
  const { code = "", message } = error as NodeJS.ErrnoException;
  if (code === "Z_BUF_ERROR")
    return new InputError(`${file}: the gzip data are cut off`, { cause: error });
  if (code.startsWith("Z_"))
    return new InputError(`${file}: the gzip data are damaged: ${message}`, { cause: error });
  return toFileError(file, error);
}
