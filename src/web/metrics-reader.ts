// Reads the rows of a run's metrics.jsonl in chunks, each from a position that a page has reached.

import { fstatSync, readSync } from "node:fs";
import { crc32 } from "node:zlib";
import { FileError } from "../files/file-error.ts";
import { withRegularFile } from "../files/text.ts";
import { parseRow } from "../runs/metrics.ts";
import type { MetricsRow, ReadPosition } from "./protocol.ts";
import { HttpError } from "./validate.ts";

/** The maximum number of bytes of a file that are read and sent at a time. */
export const MAX_CHUNK_BYTES = 64 * 1024;
/** The number of bytes that a checksum covers: at least the last row, whose timing is unique. */
const CHECKSUM_BYTES = 256;
const NEWLINE = 10;

/** The beginning of a file. */
export const START: ReadPosition = { next: 0, mark: 0 };

/** Some rows and the position after them. */
export type Chunk = { rows: MetricsRow[] } & ReadPosition;

/**
 * Parses read positions by run, such as `A:120:7,B`. Throws an HttpError unless each item is the
 * encoded name of a run, followed by nothing, an offset, or an offset and a checksum.
 */
export function parseReadPositions(text: string): Map<string, ReadPosition> {
  const positions = new Map<string, ReadPosition>();
  for (const item of text.split(",").filter(Boolean)) {
    const match = /^([^:]+)(?::(\d{1,15})(?::(\d{1,10}))?)?$/.exec(item);
    const [, encodedName, next = 0, mark = 0] = match ?? [];
    const name = encodedName && decodeName(encodedName);
    if (!name || positions.has(name) || Number(mark) >= 2 ** 32)
      throw new HttpError(400, `${item.slice(0, 80)} is not a position, expected RUN:OFFSET:MARK`);
    positions.set(name, { next: Number(next), mark: Number(mark) });
  }
  return positions;
}

export function formatReadPositions(positions: ReadonlyMap<string, ReadPosition>): string {
  return Array.from(
    positions,
    ([run, { next, mark }]) => `${encodeURIComponent(run)}:${next}:${mark}`,
  ).join(",");
}

/** Returns null for an invalid percent-encoding. */
function decodeName(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

/**
 * Reads the rows in the complete lines after a position, at most MAX_CHUNK_BYTES. Damaged lines are
 * passed over. The position does not change if there are no new lines. Returns "replaced" if the
 * file is not the one that the position was taken in.
 */
export function readRowsFrom(file: string, position: ReadPosition): Chunk | "replaced" {
  try {
    return withRegularFile(file, (fd) => readChunk(fd, position));
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    const { code } = (error.cause ?? {}) as NodeJS.ErrnoException;
    const isBusy = code === "EMFILE" || code === "ENFILE"; // too many open files: read it later
    if (isBusy || position.next === 0) return { rows: [], ...position };
    return "replaced"; // the file has been removed, or it is not a file: as if it were empty
  }
}

function readChunk(fd: number, position: ReadPosition): Chunk | "replaced" {
  const { size } = fstatSync(fd);
  if (size < position.next || computeChecksumBefore(fd, position.next) !== position.mark)
    return "replaced";
  const bytes = Buffer.alloc(Math.min(MAX_CHUNK_BYTES, size - position.next));
  const count = readSync(fd, bytes, 0, bytes.length, position.next);
  const lineEnd = bytes.subarray(0, count).lastIndexOf(NEWLINE) + 1;
  // a chunk without a newline is a part of a line that is too long to be a row: it is skipped
  const end = lineEnd === 0 && count === MAX_CHUNK_BYTES ? count : lineEnd;
  const next = position.next + end;
  const begin = isLineStart(fd, position.next) ? 0 : bytes.indexOf(NEWLINE) + 1;
  const lines = bytes.toString("utf8", begin, lineEnd).split("\n");
  const rows = lines.flatMap((line) => parseRow(line) ?? []);
  return { rows, next, mark: computeChecksumBefore(fd, next) };
}

/** Returns the CRC-32 of the last bytes before an offset. 0 at the beginning of the file. */
function computeChecksumBefore(fd: number, offset: number): number {
  const bytes = Buffer.alloc(Math.min(CHECKSUM_BYTES, offset));
  const count = readSync(fd, bytes, 0, bytes.length, offset - bytes.length);
  return crc32(bytes.subarray(0, count));
}

/** Returns false within a line, whose beginning has been skipped. */
function isLineStart(fd: number, offset: number): boolean {
  if (offset === 0) return true;
  const before = Buffer.alloc(1);
  readSync(fd, before, 0, 1, offset - 1);
  return before[0] === NEWLINE;
}
