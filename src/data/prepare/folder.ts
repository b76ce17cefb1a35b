// The folder that prepareShards() writes: what it was made from (prepare.json), and until it is
// complete, how far it is (progress.json). With these, a killed attempt is continued.

import * as fs from "node:fs";
import { join, resolve } from "node:path";
import { quote, UsageError } from "../../errors.ts";
import { remove, writeJSON } from "../../files/durable.ts";
import { FileError, toFileError } from "../../files/file-error.ts";
import { MAX_TABLE_BYTES, readJSONObject } from "../../files/json.ts";
import { lockName } from "../../files/lock.ts";
import { listFolder } from "../../files/output.ts";
import { manifestName } from "../shards/manifest.ts";
import type { Position } from "./pieces.ts";
import type { SplitState } from "./shard-writer.ts";

const requestName = "prepare.json";
const progressName = "progress.json";
const FORMAT = "tinybard-prepare";

/** An input file, and what changes when its content does. */
interface Input {
  readonly file: string;
  readonly bytes: number;
  /** The time of its last change, in milliseconds since 1970. */
  readonly modified: number;
}

/** The input and the options that determine the content of a folder. */
export interface Request {
  readonly inputs: readonly Input[];
  readonly options: Readonly<Record<string, string | number | null>>;
}

/** The part of the input that is in the shards on disk. */
export interface Progress {
  /** The beginning of the next piece. */
  readonly position: Position;
  /** The number of documents that have begun. */
  readonly documents: number;
  readonly train: SplitState;
  readonly val: SplitState;
}

/** Describes the input files. Throws a FileError if one cannot be read. */
export function describeInputs(files: readonly string[]): Input[] {
  return files.map((file) => {
    try {
      const { size, mtimeMs } = fs.statSync(file);
      return { file: resolve(file), bytes: size, modified: mtimeMs };
    } catch (error) {
      throw toFileError(file, error);
    }
  });
}

/**
 * Checks that a folder can be written: it is new or empty, or an attempt with the same request was
 * killed or has completed it. Throws a UsageError otherwise. Returns the state of the folder.
 */
export function checkFolder(out: string, request: Request): "new" | "begun" | "complete" {
  const entries = listFolder(out) ?? [];
  const others = entries.filter(
    (name) => !name.startsWith(lockName) && name !== `${requestName}.tmp`,
  );
  if (others.length === 0) return "new";
  const found = others.includes(requestName) ? readRequest(join(out, requestName)) : null;
  if (!found) {
    const isPrepared = others.includes(manifestName);
    const content = isPrepared ? "holds other token shards" : "is not empty";
    throw new UsageError(`out: ${out} ${content}; choose a new folder, or delete this one`);
  }
  const difference = findDifference(found, request);
  if (difference)
    throw new UsageError(
      `out: ${out} was begun ${difference}; choose another folder, or delete this one`,
    );
  return others.includes(manifestName) ? "complete" : "begun";
}

function readRequest(file: string): Request | null {
  const fields = readJSONObject(file, MAX_TABLE_BYTES);
  if (fields.format !== FORMAT) return null;
  const { inputs, options } = fields as { inputs: unknown; options: unknown };
  if (Array.isArray(inputs) && typeof options === "object" && options !== null)
    return fields as unknown as Request;
  throw new FileError(`${file}: has no inputs or no options; delete the folder to begin again`);
}

/** Describes how the request that a folder was begun with differs; "" if it does not. */
function findDifference(found: Request, request: Request): string {
  for (const [key, value] of Object.entries(request.options)) {
    if (found.options[key] === value) continue;
    if (key === "tokenizer") return "with another tokenizer"; // its checksum would tell nothing
    return `with ${key} ${quote(found.options[key])} instead of ${quote(value)}`;
  }
  if (found.inputs.length !== request.inputs.length)
    return `with ${found.inputs.length} files instead of ${request.inputs.length}`;
  for (const [i, input] of request.inputs.entries()) {
    const { file, bytes, modified } = found.inputs[i];
    if (file !== input.file) return `with ${file} instead of ${input.file}`;
    if (bytes !== input.bytes || modified !== input.modified) return `before ${file} was changed`;
  }
  return "";
}

export function writeRequest(out: string, { inputs, options }: Request): void {
  writeJSON(join(out, requestName), { format: FORMAT, version: 1, options, inputs });
}

export function writeProgress(out: string, progress: Progress): void {
  writeJSON(join(out, progressName), progress);
}

/** Returns the recorded progress, or null before the first record. */
export function readProgress(out: string): Progress | null {
  const file = join(out, progressName);
  if (!fs.existsSync(file)) return null;
  return readJSONObject(file, MAX_TABLE_BYTES) as unknown as Progress;
}

/** Removes the files of an attempt that cannot be continued. */
export function clearFolder(out: string): void {
  const pattern = /^((prepare|progress|tokenizer)\.json(\.tmp)?|(train|val)_\d+\.bin(\.partial)?)$/;
  for (const name of fs.readdirSync(out)) {
    if (pattern.test(name)) remove(join(out, name));
  }
}

/** Removes what only an unfinished folder needs. */
export function removeProgress(out: string): void {
  remove(join(out, progressName));
}
