// Finds the base model of a run with adapters: where it was when they were trained, or where it has
// been moved since. The checksum of its weights tells it from other models.

import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { UsageError } from "../errors.ts";
import { sha256OfFiles } from "../files/sha256.ts";
import { findWeightFiles, isHuggingFaceFolder } from "../gpt/hf-weights.ts";
import { type CheckpointName, checkpointNames } from "./choose.ts";

/** The folder of a model, and if it is a run, the checkpoint whose weights were verified. */
export interface BaseModel {
  folder: string;
  checkpoint?: CheckpointName;
}

/**
 * Returns the model that the adapters in `out` were trained for, by the checksum of its weights.
 * `recorded` is its folder at that time. If it is not there, it is looked for next to `out`, in
 * case both have been moved together; `named` is the only folder to look in if it is given. Throws
 * a UsageError if the model is not found.
 */
export function findBase(
  out: string,
  recorded: string,
  sha256: string | undefined,
  named?: string,
): BaseModel {
  const folders = named === undefined ? [recorded, ...findMoved(out, recorded)] : [named];
  const existing = folders.filter((folder) => existsSync(join(folder, "config.json")));
  for (const folder of existing) {
    const base = verify(folder, sha256);
    if (base) return base;
  }
  const [other] = existing;
  const subject = `run: ${out} holds adapters for the model in ${named ?? recorded}`;
  const how = "name its folder with --base DIR, or with --init-from DIR to resume";
  if (other === undefined) throw new UsageError(`${subject}, which no longer exists; ${how}`);
  const where = other === (named ?? recorded) ? "" : ` (also not found in ${other})`;
  throw new UsageError(
    `${subject}, whose weights have changed since: it is another model now${where}; ` +
      `if the model is elsewhere, ${how}`,
  );
}

/** Returns the model in a folder if its weights have this checksum. */
function verify(folder: string, sha256: string | undefined): BaseModel | null {
  if (isHuggingFaceFolder(folder))
    return sha256OfFiles(findWeightFiles(folder)) === sha256 ? { folder } : null;
  for (const checkpoint of checkpointNames) {
    const file = join(folder, checkpoint, "model.safetensors");
    if (existsSync(file) && sha256OfFiles([file]) === sha256) return { folder, checkpoint };
  }
  return null;
}

/**
 * Returns where a folder is if it was moved together with `out`: its last parts, below a folder
 * that contains `out`. Nearest first.
 */
function findMoved(out: string, recorded: string): string[] {
  const parts = recorded.split(/[/\\]/).filter((part) => part !== "" && part !== "..");
  const found: string[] = [];
  for (let parent = dirname(resolve(out)); ; parent = dirname(parent)) {
    for (let i = 0; i < parts.length; i++) {
      const folder = join(parent, ...parts.slice(i));
      if (folder !== resolve(out) && folder !== recorded) found.push(folder);
    }
    if (parent === dirname(parent)) return found;
  }
}
