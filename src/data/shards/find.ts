// Finds the token shards that --data names: a folder, a file, or a pattern such as data/*.bin.

import { existsSync, readdirSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { UsageError } from "../../errors.ts";
import { isFolder } from "../../files/folder.ts";
import { withRegularFile } from "../../files/text.ts";
import { hasMagic, looksLikeText } from "./format.ts";
import { type Manifest, manifestName, readManifest, type Split } from "./manifest.ts";
import { readHead } from "./shard-file.ts";

/** The paths of the shards of both splits, and the folder with their tokenizer. */
export interface FoundShards {
  folder: string;
  train: string[];
  val: string[];
  manifest: Manifest | null;
}

/** Returns true if `data` names token shards, not a text. */
export function areShards(data: string): boolean {
  if (!existsSync(data)) return isPattern(data);
  if (isFolder(data)) return true;
  if (!statSync(data).isFile()) return false;
  const head = withRegularFile(data, readHead);
  return hasMagic(head) || (/\.bin$/i.test(data) && !looksLikeText(head));
}

/**
 * Finds the shards that `data` names. Of a folder: those of its manifest, or all *.bin files. The
 * name of a file says which split it belongs to: it contains train or val. A single file brings
 * the files of the other split, which have the same name but for that word.
 */
export function findShards(data: string): FoundShards {
  const isSingle = existsSync(data) && !isFolder(data);
  const folder = existsSync(data) && !isSingle ? data : dirname(data);
  const manifest = isSingle || isPattern(data) ? null : readManifest(folder);
  if (manifest) return { folder, manifest, ...splitManifest(folder, manifest) };
  const matches = isSingle ? matcherOfFile(data) : matcherOfPattern(data, folder);
  const names = listFiles(folder).filter(matches).sort(compareNames);
  if (names.length === 0) {
    const what = folder === data ? `${folder} has no *.bin files` : `no file matches ${data}`;
    throw new UsageError(`data: no token shards: ${what}`);
  }
  const found: FoundShards = { folder, train: [], val: [], manifest: null };
  for (const name of names) found[findSplit(folder, name)].push(join(folder, name));
  for (const split of ["train", "val"] as const) {
    if (found[split].length > 0) continue;
    throw new UsageError(
      `data: ${data} has no ${split === "val" ? "validation" : "training"} shards: ` +
        `none of the ${names.length} names contains ${split}`,
    );
  }
  return found;
}

function splitManifest(folder: string, { shards }: Manifest): Record<Split, string[]> {
  const pick = (requested: Split) =>
    shards.filter(({ split }) => split === requested).map(({ file }) => join(folder, file));
  const found = { train: pick("train"), val: pick("val") };
  for (const split of ["train", "val"] as const)
    if (found[split].length === 0)
      throw new UsageError(`data: ${join(folder, manifestName)} has no shards of split ${split}`);
  return found;
}

/** The words for the splits in names. */
const anyWord = /train(ing)?|val(id(ation)?)?/g;

/** Returns the split that a name tells. In a name with both words, they must stand alone. */
function findSplit(folder: string, name: string): Split {
  const splits = ["train", "val"] as const;
  const isWord = (split: Split) => new RegExp(`(?<![a-z])${split}(?:id(?:ation)?)?(?![a-z])`, "i");
  let found = splits.filter((split) => name.toLowerCase().includes(split));
  if (found.length === 2) found = splits.filter((split) => isWord(split).test(name));
  if (found.length === 1) return found[0];
  const problem = found.length === 0 ? "neither train nor val" : "both train and val";
  throw new UsageError(
    `data: the name of ${join(folder, name)} contains ${problem}, expected one of them`,
  );
}

function listFiles(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (cause) {
    throw new UsageError(`data: cannot read ${folder}: ${(cause as Error).message}`, { cause });
  }
}

/** Orders names by their numbers: train_2.bin is before train_10.bin. */
function compareNames(a: string, b: string): number {
  return a.localeCompare(b, "en", { numeric: true }) || (a < b ? -1 : 1);
}

function isPattern(data: string): boolean {
  return /[*?]/.test(basename(data));
}

function matcherOfPattern(data: string, folder: string): (name: string) => boolean {
  if (folder === data) return (name) => /\.bin$/i.test(name);
  const escaped = basename(data).replace(/[.+^${}()|[\]\\]/g, "\\$&");
  const pattern = new RegExp(`^${escaped.replaceAll("*", ".*").replaceAll("?", ".")}$`);
  return (name) => pattern.test(name) && !/^\.|\.json$/i.test(name);
}

/** Matches a file and its counterparts, such as x_val_000.bin for x_train_001.bin. */
function matcherOfFile(file: string): (name: string) => boolean {
  const own = basename(file);
  const folder = dirname(file);
  const other = findSplit(folder, own) === "train" ? "val" : "train";
  const toShape = (name: string) => name.toLowerCase().replace(/\d+/g, "0").replace(anyWord, "*");
  const isCounterpart = (name: string) =>
    toShape(name) === toShape(own) && findSplit(folder, name) === other;
  return (name) => name === own || isCounterpart(name);
}
