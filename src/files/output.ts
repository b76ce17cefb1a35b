// New folders and files of commands, complete or not there at all: killed at any moment, a command
// leaves nothing that looks whole, and can be run again.

import * as fs from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { UsageError } from "../errors.ts";
import {
  remove,
  removeIfPossible,
  renameFile,
  replaceFile,
  syncFile,
  syncFolder,
  withOpenFile,
} from "./durable.ts";
import { toFileError } from "./file-error.ts";
import { lockFolder, lockName } from "./lock.ts";
import { isProcess } from "./owner.ts";
import { describeInvalidPath } from "./windows-names.ts";

/** The folder that the files of a new folder are written to first. */
export const partialName = ".tinybard-partial";

/**
 * Creates the folder `out` with the files that `write` writes to the folder that it is passed. They
 * are renamed into place at the end: as one folder, or if `out` exists and is empty, perhaps as the
 * mount point of a disk, one by one, config.json last, without which no folder is read. Throws a
 * UsageError if `out` holds anything else than what a killed attempt has left, or if another
 * process is writing it.
 */
export function writeFolder<T>(out: string, write: (folder: string) => T): T {
  const target = resolve(out);
  const exists = checkNewFolder(out);
  // a folder of its own next to `out`, on the same file system
  const workspace = exists ? target : join(dirname(target), `.${basename(target)}.partial`);
  const lock = lockFolder(workspace);
  const partial = join(workspace, partialName);
  try {
    checkNewFolder(out); // another process may have finished it just now
    remove(partial);
    fs.mkdirSync(partial);
    const result = write(partial);
    syncTree(partial);
    if (exists) {
      moveFiles(partial, target);
    } else {
      renameFile(partial, target);
      syncFolder(dirname(target));
    }
    return result;
  } finally {
    remove(partial);
    lock.release();
    if (!exists) removeIfEmpty(workspace);
  }
}

/** Throws a UsageError unless `out` can become a new folder. Returns true if it exists. */
function checkNewFolder(out: string): boolean {
  const entries = listFolder(out);
  if (!entries) return false;
  const others = entries.filter((name) => !name.startsWith(lockName));
  if (others.length === 0 || others.includes(partialName)) return true;
  if (others.includes("config.json"))
    throw new UsageError(`out: ${out} holds a run or a model already; choose another folder`);
  throw new UsageError(`out: ${out} is not empty; choose a new folder, or delete this one`);
}

/**
 * Returns the names in the folder `out`; null if it does not exist. Throws a UsageError if it can
 * never be a folder.
 */
export function listFolder(out: string): string[] | null {
  const problem = describeInvalidPath(out);
  if (problem) throw new UsageError(`out: ${out} ${problem}; choose another name`);
  if (isBrokenLink(out))
    throw new UsageError(`out: ${out} is a link to a file or folder that does not exist`);
  try {
    return fs.readdirSync(out);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" && !isInsideFile(out)) return null;
    if (code === "ENOENT" || code === "ENOTDIR")
      throw new UsageError(`out: ${out} is a file or inside of one, expected a folder`);
    throw toFileError(out, error);
  }
}

/** Returns true if a folder of a path is a file: to Windows, it is as if it were missing. */
function isInsideFile(path: string): boolean {
  const parent = dirname(resolve(path));
  if (parent === path) return false;
  const stat = fs.statSync(parent, { throwIfNoEntry: false });
  return stat ? !stat.isDirectory() : isInsideFile(parent);
}

/** Returns true for a link whose target does not exist. */
function isBrokenLink(path: string): boolean {
  try {
    return fs.lstatSync(path).isSymbolicLink() && !fs.existsSync(path);
  } catch {
    return false; // it does not exist, or is inside of a file
  }
}

/** Removes a folder, unless it has files or another process has removed it. */
export function removeIfEmpty(folder: string): void {
  try {
    fs.rmdirSync(folder);
  } catch {}
}

/** Moves the files and folders in a folder into another one, config.json last. */
function moveFiles(from: string, to: string): void {
  const last = "config.json";
  remove(join(to, last));
  const names = fs.readdirSync(from).sort((a, b) => Number(a === last) - Number(b === last));
  try {
    for (const name of names) {
      if (name === last) syncFolder(to);
      remove(join(to, name));
      renameFile(join(from, name), join(to, name));
    }
    syncFolder(to);
  } catch (error) {
    for (const name of names) remove(join(to, name));
    throw error;
  }
}

/** Waits until all files and folders in a folder are on disk. */
function syncTree(folder: string): void {
  for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) syncTree(path);
    else syncFile(path);
  }
  syncFolder(folder);
}

/**
 * Writes a file that a user has named: atomically, unless it is a device or a pipe, such as
 * /dev/stdout, or \\.\NUL on Windows. A link stays one, and its target is replaced. Throws a
 * FileError.
 */
export function writeFile(file: string, content: string | Iterable<Uint8Array>): void {
  try {
    const stat = fs.statSync(file, { throwIfNoEntry: false });
    const devices = process.platform === "win32" ? /^\\\\\.\\/ : /^\/(dev|proc)\//;
    const isDevice = devices.test(resolve(file)) || (stat && !stat.isFile());
    if (isDevice) {
      const chunks = typeof content === "string" ? [content] : content;
      withOpenFile(file, "w", (fd) => {
        // fails if it is a folder
        for (const chunk of chunks) fs.writeFileSync(fd, chunk);
      });
      return;
    }
    const target = stat ? fs.realpathSync(file) : file;
    removeLeftovers(target);
    replaceFile(target, content, `${target}.${process.pid}.tmp`);
  } catch (error) {
    throw toFileError(file, error);
  }
}

/** Removes the temporary files of killed attempts to write a file: FILE.PID.tmp. */
function removeLeftovers(file: string): void {
  for (const name of fs.readdirSync(dirname(file))) {
    const [, pid] = /^\.(\d{1,9})\.tmp$/.exec(name.slice(basename(file).length)) ?? [];
    if (pid && name.startsWith(basename(file)) && !isProcess(Number(pid)))
      removeIfPossible(join(dirname(file), name));
  }
}
