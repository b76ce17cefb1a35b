// The folder of a run: created and locked when the run starts, and removed again if it fails before
// its first checkpoint.

import * as fs from "node:fs";
import { isAbsolute, join, relative } from "node:path";
import { UsageError } from "../errors.ts";
import { remove } from "../files/durable.ts";
import { FileError, toFileError } from "../files/file-error.ts";
import { createFolder } from "../files/folder.ts";
import { type FolderLock, findLocalOwner, lockFolder } from "../files/lock.ts";
import { listFolder, partialName, removeIfEmpty } from "../files/output.ts";
import { isHuggingFaceFolder } from "../gpt/hf-weights.ts";
import { checkpointNames } from "./choose.ts";
import { readConfig } from "./load.ts";

/** A run's folder that this process alone writes to, until it calls release() or discard(). */
export interface RunFolder {
  readonly path: string;
  /** Throws a FileError if the folder, or its config.json, or the lock on it has been lost. */
  check(): void;
  release(): void;
  /** After a failed start: removes the folder of a run that has no checkpoint, and releases it. */
  discard(): void;
}

/**
 * Creates and locks the folder `out` of a new run. It may hold other files, or a run that was
 * killed before its first checkpoint, which is removed. Throws a UsageError if it holds any other
 * run or model, or if another process is writing to it.
 */
export function createRunFolder(out: string): RunFolder {
  const existed = listFolder(out) !== null;
  const lock = lockFolder(out);
  try {
    checkUnstarted(out);
    if (holdsRun(out)) removeRun(out);
  } catch (error) {
    lock.release();
    throw error;
  }
  return own(out, lock, () => {
    if (hasStarted(out)) return;
    if (!existed || holdsRun(out)) removeRun(out);
    if (existed) return;
    removeEventFiles(out);
    lock.release();
    removeIfEmpty(out);
  });
}

/** Creates and locks a new folder in `parent`. If `name` exists, the new one is called name-2. */
export function createNumberedFolder(parent: string, name: string): RunFolder {
  for (let number = 1; ; number++) {
    const out = join(parent, number === 1 ? name : `${name}-${number}`);
    try {
      createFolder(parent);
      fs.mkdirSync(out); // fails if it exists, so that two runs never get the same folder
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EEXIST") continue;
      throw toFileError(out, error);
    }
    let folder: RunFolder;
    try {
      folder = createRunFolder(out);
    } catch (error) {
      removeIfEmpty(out);
      throw error;
    }
    return {
      ...folder,
      discard() {
        folder.discard();
        removeIfEmpty(out);
      },
    };
  }
}

/** Locks the folder of an existing run, in order to continue it. */
export function lockRunFolder(out: string): RunFolder {
  return own(out, lockFolder(out), () => {});
}

function own(path: string, lock: FolderLock, discard: () => void): RunFolder {
  return {
    path,
    check() {
      checkExists(path);
      if (lock.isLost())
        throw new FileError(`${path}: another process has locked the folder and writes to it`);
    },
    release: () => lock.release(),
    discard() {
      try {
        discard();
      } finally {
        lock.release();
      }
    },
  };
}

/** Throws a UsageError if the folder `out` would be part of a checkpoint of a run. */
export function checkOutside(out: string, run: string): void {
  for (const name of checkpointNames) {
    const path = relative(join(run, name), out);
    if (path !== "" && (path.startsWith("..") || isAbsolute(path))) continue;
    throw new UsageError(`out: ${out} is in the checkpoint ${join(run, name)}`);
  }
}

/** Throws a UsageError if a folder holds a model, or a run that has been trained. */
function checkUnstarted(out: string): void {
  if (!holdsRun(out)) {
    if (!hasStarted(out)) return;
    throw new UsageError(
      `out: ${out} holds a checkpoint but no config.json; choose another folder, or delete it`,
    );
  }
  if (isHuggingFaceFolder(out))
    throw new UsageError(`out: ${out} holds a model already; choose another folder`);
  readConfig(out); // throws if it is not a run's
  if (hasStarted(out))
    throw new UsageError(`out: ${out} holds a run already; --resume ${out} continues it`);
}

function holdsRun(out: string): boolean {
  return fs.existsSync(join(out, "config.json"));
}

/**
 * Returns the id of the process of this machine that is training a run which has neither a
 * checkpoint nor metrics yet; null for other runs.
 */
export function findStarter(out: string): number | null {
  return holdsRun(out) && !hasStarted(out) ? findLocalOwner(out) : null;
}

/** Returns true if a run has a checkpoint or metrics. */
export function hasStarted(out: string): boolean {
  const metrics = fs.statSync(join(out, "metrics.jsonl"), { throwIfNoEntry: false });
  if (metrics && metrics.size > 0) return true;
  return checkpointNames.some((name) => {
    const files = listFolder(join(out, name)) ?? [];
    return files.some((file) => !file.endsWith(".tmp")); // those are of an unfinished checkpoint
  });
}

/**
 * Removes the files of a run that has not been trained, config.json last. Event files stay: a
 * folder that the user has named may hold those of other programs.
 */
function removeRun(out: string): void {
  const names = [
    ...checkpointNames,
    "metrics.jsonl",
    "matmul.txt",
    "tokenizer.json",
    "chat.json",
    "config.json",
  ];
  for (const name of [partialName, ...names]) {
    remove(join(out, name));
    remove(join(out, `${name}.tmp`));
  }
}

function removeEventFiles(out: string): void {
  for (const name of listFolder(out) ?? [])
    if (name.startsWith("events.out.tfevents.")) remove(join(out, name));
}

/**
 * Throws a FileError if the folder of a run has been removed or renamed, or its config.json:
 * without that, what is written to the folder is not a run that could be resumed.
 */
function checkExists(out: string): void {
  if (fs.existsSync(join(out, "config.json"))) return;
  const what = fs.existsSync(out) ? `${join(out, "config.json")}: the file` : `${out}: the folder`;
  throw new FileError(
    `${what} was removed or renamed while the run was trained; later steps cannot be saved`,
  );
}
