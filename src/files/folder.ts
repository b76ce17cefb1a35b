// Creating folders.

import { mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Creates a folder and its parents; does nothing if it exists. Throws the errors of mkdirSync(),
 * whose option `recursive` is not used: with it, mkdirSync() never returns where the parents cannot
 * be created, such as in /proc or in a working directory that has been deleted.
 */
export function createFolder(folder: string): void {
  try {
    mkdirSync(folder);
  } catch (error) {
    if (isFolder(folder)) return;
    const parent = dirname(folder);
    const isParentMissing = (error as NodeJS.ErrnoException).code === "ENOENT";
    if (!isParentMissing || parent === folder || isFolder(parent)) throw error;
    createFolder(parent);
    mkdirOnce(folder);
  }
}

/** Creates a folder in an existing one. Another process may do the same at this moment. */
function mkdirOnce(folder: string): void {
  try {
    mkdirSync(folder);
  } catch (error) {
    if (!isFolder(folder)) throw error;
  }
}

/** Returns true if a path is a folder, or a link to one. */
export function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
