// Files as the disk has them: what is written here survives a crash of the machine.

import * as fs from "node:fs";
import { dirname } from "node:path";

/** Bytes: Node reads and writes less than 2 GiB in one call. */
export const piece = 2 ** 30;

/** Writes chunks to a file, in place of what was there. Returns when they have reached the disk. */
export function writeSynced(file: string, chunks: Iterable<Uint8Array>): void {
  withOpen(file, "w", (fd) => {
    for (const chunk of chunks)
      for (let done = 0; done < chunk.length; )
        done += fs.writeSync(fd, chunk, done, Math.min(chunk.length - done, piece));
    fs.fsyncSync(fd);
  });
}

/** Returns when the names in a folder have reached the disk: until then a rename can be lost. */
export function syncFolder(folder: string): void {
  if (process.platform !== "win32") withOpen(folder, "r", fs.fsyncSync); // Windows opens no folder
}

/** Replaces a file atomically: after a crash, it has the old content or the new one. */
export function replaceFile(file: string, text: string): void {
  writeSynced(`${file}.tmp`, [new TextEncoder().encode(text)]);
  fs.renameSync(`${file}.tmp`, file);
  syncFolder(dirname(file));
}

/** Replaces a file atomically by a value as JSON. */
export function writeJSON(file: string, value: unknown): void {
  replaceFile(file, `${JSON.stringify(value, null, 2)}\n`);
}

/** Opens a file for as long as `use` needs it. */
export function withOpen<T>(file: string, flags: string | number, use: (fd: number) => T): T {
  const fd = fs.openSync(file, flags);
  try {
    return use(fd);
  } finally {
    fs.closeSync(fd);
  }
}
