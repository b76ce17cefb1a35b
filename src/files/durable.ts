// Durable writes: data written here survives a crash or power failure of the machine.

import * as fs from "node:fs";
import { dirname } from "node:path";
import { describeKind, FileError, toFileError } from "./file-error.ts";
import { describeInvalidPath } from "./windows-names.ts";

/** The maximum size of one read or write in bytes. Node limits a call to less than 2 GiB. */
export const MAX_IO_BYTES = 2 ** 30;

/**
 * Writes chunks to a new file, replacing what is in its place. Returns when the data is on disk
 * (fsync). Throws a FileError and leaves no file if that fails, for example on a full disk.
 */
export function writeSynced(file: string, chunks: Iterable<Uint8Array>): void {
  try {
    // a leftover; or a link or a named pipe, which "wx" refuses
    retryWhileOpen(() => fs.rmSync(file, { force: true }));
    withOpenFile(file, "wx", (fd) => {
      try {
        for (const chunk of chunks) writeAll(fd, chunk);
        fs.fsyncSync(fd);
      } catch (error) {
        removeIfPossible(file);
        throw error;
      }
    });
  } catch (error) {
    throw toFileError(file, error);
  }
}

/**
 * Appends bytes to a regular file. If there is none, creates it, or throws if `mustExist` is true.
 * If only a part can be written, for example on a full disk, that part is removed again. Throws a
 * FileError.
 */
export function appendBytes(file: string, bytes: Uint8Array, { mustExist = false } = {}): void {
  const { O_WRONLY, O_APPEND, O_NONBLOCK = 0 } = fs.constants; // O_NONBLOCK: not on Windows
  const O_CREAT = mustExist ? 0 : fs.constants.O_CREAT;
  try {
    withOpenFile(file, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK, (fd) => {
      const stat = fs.fstatSync(fd);
      if (!stat.isFile()) throw new FileError(`${file}: ${describeKind(stat)}, expected a file`);
      try {
        writeAll(fd, bytes);
      } catch (error) {
        fs.ftruncateSync(fd, stat.size);
        throw error;
      }
    });
  } catch (error) {
    throw toFileError(file, error);
  }
}

/** Waits until a file's data is on disk (fsync). Throws a FileError. */
export function syncFile(file: string): void {
  try {
    withOpenFile(file, "r+", fs.fsyncSync); // Windows can only sync a file that is open for writing
  } catch (error) {
    throw toFileError(file, error);
  }
}

/**
 * Writes a whole chunk, since fs.writeSync() may write only a part of it: at a position in the
 * file, or where the last write ended.
 */
export function writeAll(fd: number, chunk: Uint8Array, position: number | null = null): void {
  let written = 0;
  while (written < chunk.length) {
    const length = Math.min(chunk.length - written, MAX_IO_BYTES);
    const at = position === null ? null : position + written;
    written += fs.writeSync(fd, chunk, written, length, at);
  }
}

/**
 * Syncs a folder's entries to disk. Until then, a crash may undo a rename in the folder. Does
 * nothing on file systems that cannot sync folders, such as some network drives.
 */
export function syncFolder(folder: string): void {
  if (process.platform === "win32") return; // Windows cannot open a folder
  try {
    withOpenFile(folder, "r", fs.fsyncSync);
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    if (["EINVAL", "ENOTSUP", "EBADF"].includes(code)) return;
    throw toFileError(folder, error);
  }
}

/**
 * Replaces a file atomically: after a crash it has either the old or the new content. The new
 * content is first written to `temporary`, in the same folder. If that fails, throws a FileError,
 * and the old file is unchanged.
 */
export function replaceFile(
  file: string,
  content: string | Iterable<Uint8Array>,
  temporary = `${file}.tmp`,
): void {
  const problem = describeInvalidPath(file);
  if (problem) throw new FileError(`${file}: ${problem}; choose another name`);
  const chunks = typeof content === "string" ? [new TextEncoder().encode(content)] : content;
  writeSynced(temporary, chunks);
  try {
    renameFile(temporary, file);
  } catch (error) {
    removeIfPossible(temporary);
    throw toFileError(file, error);
  }
  syncFolder(dirname(file));
}

/** Renames a file or folder, and replaces a file, which Windows refuses while it is read. */
export function renameFile(from: string, to: string): void {
  retryWhileOpen(() => fs.renameSync(from, to));
}

/**
 * Runs a file operation. On Windows, tries again for about a second if it is refused, because a
 * virus scanner, an editor or the dashboard may have the file open for a moment.
 */
export function retryWhileOpen<T>(operation: () => T): T {
  for (let delay = 1; ; delay *= 2) {
    try {
      return operation();
    } catch (error) {
      const { code = "" } = error as NodeJS.ErrnoException;
      // a folder is not empty while a file that was deleted in it is open
      const isRefused = ["EACCES", "EBUSY", "EPERM", "ENOTEMPTY"].includes(code);
      if (process.platform !== "win32" || !isRefused || delay > 512) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, delay);
    }
  }
}

/** Removes a file, or a folder with its content. Does nothing if there is none. */
export function remove(path: string): void {
  retryWhileOpen(() => fs.rmSync(path, { recursive: true, force: true }));
}

/** Removes a file after a failure, about which the caller throws a better error than this one's. */
export function removeIfPossible(file: string): void {
  try {
    fs.rmSync(file, { force: true });
  } catch {}
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
