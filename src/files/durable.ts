// Durable writes: data written here survives a crash or power failure of the machine.

import * as fs from "node:fs";
import { dirname } from "node:path";

/** The maximum size of one read or write in bytes. Node limits a call to less than 2 GiB. */
export const MAX_IO_BYTES = 2 ** 30;

/** Writes chunks to a file, replacing its content. Returns when the data is on disk (fsync). */
export function writeSynced(file: string, chunks: Iterable<Uint8Array>): void {
  withOpenFile(file, "w", (fd) => {
    for (const chunk of chunks) writeAll(fd, chunk);
    fs.fsyncSync(fd);
  });
}

/** Writes a whole chunk, since fs.writeSync() may write only a part of it. */
function writeAll(fd: number, chunk: Uint8Array): void {
  let written = 0;
  while (written < chunk.length) {
    const length = Math.min(chunk.length - written, MAX_IO_BYTES);
    written += fs.writeSync(fd, chunk, written, length);
  }
}

/** Syncs a folder's entries to disk. Until then, a crash may undo a rename in the folder. */
export function syncFolder(folder: string): void {
  if (process.platform === "win32") return; // Windows cannot open a folder
  withOpenFile(folder, "r", fs.fsyncSync);
}

/** Replaces a text file atomically: after a crash it has either the old or the new content. */
export function replaceFile(file: string, text: string): void {
  writeSynced(`${file}.tmp`, [new TextEncoder().encode(text)]);
  fs.renameSync(`${file}.tmp`, file);
  syncFolder(dirname(file));
}

/** Replaces a file atomically with the JSON of a value. */
export function writeJSON(file: string, value: unknown): void {
  replaceFile(file, `${JSON.stringify(value, null, 2)}\n`);
}

/** Opens a file, passes its descriptor to `use`, and closes it again. */
export function withOpenFile<T>(file: string, flags: string | number, use: (fd: number) => T): T {
  const fd = fs.openSync(file, flags);
  try {
    return use(fd);
  } finally {
    fs.closeSync(fd);
  }
}
