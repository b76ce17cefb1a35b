// One owner of a folder: a file in it names the process that writes there. The lock of a process
// that no longer exists, after kill -9 for example, is replaced.

import { createHash, randomUUID } from "node:crypto";
import * as fs from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { UsageError } from "../errors.ts";
import { removeIfPossible, renameFile, retryWhileOpen } from "./durable.ts";
import { toFileError } from "./file-error.ts";
import { createFolder } from "./folder.ts";
import { describeSelf, isAlive, type Owner, parseOwner } from "./owner.ts";

/** The name of the lock in a folder. */
export const lockName = "lock.json";

/** A folder that nobody else may write to until release() is called. */
export interface FolderLock {
  release(): void;
  /** Returns true if the lock has been deleted, and another process has locked the folder since. */
  isLost(): boolean;
}

/** The folder is locked, by another process or by this one. */
export class FolderInUseError extends UsageError {}

/** The locks of this process. */
const held = new Set<FolderLock>();
process.once("exit", () => {
  for (const lock of held) lock.release();
});

/**
 * Locks a folder, which is created if it does not exist. Throws a FolderInUseError that names the
 * owner if the folder is locked, also by this process; a FileError if it cannot be written.
 */
export function lockFolder(folder: string): FolderLock {
  const file = join(folder, lockName);
  // the token tells two locks of one process apart
  const content = `${JSON.stringify({ ...describeSelf(), token: randomUUID() })}\n`;
  acquire(folder, file, content);
  const lock = {
    isLost() {
      try {
        return (readLock(file, 0)?.content ?? content) !== content;
      } catch {
        return false; // it is damaged, but nobody else's
      }
    },
    release() {
      if (held.delete(lock) && readLock(file)?.content === content) removeIfPossible(file);
    },
  };
  held.add(lock);
  for (const name of fs.readdirSync(folder)) {
    // the claims of processes that were killed in acquire()
    if (name.startsWith(`${lockName}.`)) removeIfPossible(join(folder, name));
  }
  return lock;
}

/**
 * Creates a lock file, or replaces one whose owner no longer exists. Only one of several processes
 * that find the same old lock may replace it: the one that gets the lock on that replacement, a
 * file that is named after the content of the old lock.
 */
function acquire(folder: string, file: string, content: string): void {
  const maxAttempts = 100;
  for (let attempt = 0; attempt < maxAttempts; attempt++) {
    if (createLock(folder, file, content)) return;
    const found = readLock(file);
    if (!found) continue; // it has been released
    if (found.owner && isAlive(found.owner))
      throw new FolderInUseError(describeOwner(folder, file, found.owner));
    const claim = `${file}.${found.id}`;
    acquire(folder, claim, content);
    if (readLock(file)?.id === found.id) {
      renameFile(claim, file);
      return;
    }
    removeIfPossible(claim); // another process has replaced the old lock before
  }
  throw new Error(`${file}: cannot be locked, because other processes lock and release it`);
}

/** Creates a lock file. Returns false if it exists, or if its folder has just been removed. */
function createLock(folder: string, file: string, content: string): boolean {
  try {
    createFolder(folder);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST" || code === "ENOTDIR")
      throw new UsageError(`${folder}: cannot be created, because a file is in its place`);
    throw toFileError(folder, error);
  }
  try {
    // Windows refuses while a deleted lock is still open in another process
    retryWhileOpen(() => fs.writeFileSync(file, content, { flag: "wx" }));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST" || code === "ENOENT") return false;
    removeIfPossible(file); // on a full disk it was created, but has no content
    throw toFileError(folder, error);
  }
  // a process that was paused before it wrote may have lost the lock in the meantime
  return readLock(file)?.content === content;
}

/** Reads a lock file; returns null if there is none. The id is a hash of the content. */
function readLock(
  file: string,
  maxAttempts = 10,
): { content: string; owner: Owner | null; id: string } | null {
  const maxBytes = 4096;
  for (let attempt = 0; ; attempt++) {
    const stat = retryWhileOpen(() => fs.lstatSync(file, { throwIfNoEntry: false }));
    if (!stat) return null;
    if (!stat.isFile()) throw new UsageError(`${file}: not a file, expected a lock; delete it`);
    let content: string;
    try {
      content = stat.size > maxBytes ? "" : retryWhileOpen(() => fs.readFileSync(file, "utf8"));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
      throw toFileError(file, error);
    }
    const owner = parseOwner(content);
    // short, because processes that are killed while they replace a lock append their ids
    const id = createHash("sha256").update(content).digest("hex").slice(0, 8);
    // a new lock is empty for a moment; one that stays damaged has no owner
    if (!owner && attempt < maxAttempts)
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
    else return { content, owner, id };
  }
}

/** Returns the id of the process of this machine that has locked a folder, or null. Never waits. */
export function findLocalOwner(folder: string): number | null {
  try {
    const owner = readLock(join(folder, lockName), 0)?.owner ?? null;
    return owner && owner.host === hostname() && isAlive(owner) ? owner.pid : null;
  } catch {
    return null; // something else is in the place of the lock
  }
}

/** Returns true if a folder is locked by a process that may still exist. Never waits. */
export function isLocked(folder: string): boolean {
  try {
    const lock = readLock(join(folder, lockName), 0);
    return lock?.owner ? isAlive(lock.owner) : false;
  } catch {
    return false; // something else is in the place of the lock
  }
}

function describeOwner(folder: string, file: string, { pid, host }: Owner): string {
  return (
    `${folder}: in use by process ${pid} on ${host}; wait until it has ended, ` +
    `or delete ${file} if that process no longer exists`
  );
}
