// The metrics of a run as a CSV table (RFC 4180).

import { existsSync, realpathSync } from "node:fs";
import { basename, dirname, relative, resolve, sep } from "node:path";
import { UsageError } from "../errors.ts";
import { lockName } from "../files/lock.ts";
import { writeFile } from "../files/output.ts";
import { checkpointNames } from "./choose.ts";
import { columns, iterateRows, type MetricsRow } from "./metrics.ts";

const ownFiles = [
  "config.json",
  "tokenizer.json",
  "chat.json",
  "metrics.jsonl",
  "matmul.txt",
  lockName,
];
const CHUNK_LENGTH = 2 ** 16;

/** Yields a table with the rows, in chunks of many lines. Missing values are empty. */
export function* toCSV(rows: Iterable<MetricsRow>): Generator<string> {
  let text = `${columns.join(",")}\r\n`;
  for (const row of rows) {
    text += `${columns.map((name) => row[name] ?? "").join(",")}\r\n`;
    if (text.length < CHUNK_LENGTH) continue;
    yield text;
    text = "";
  }
  if (text !== "") yield text;
}

/**
 * Writes the metrics of a run to a CSV file. Returns the number of rows, and that of damaged lines,
 * which are left out. Throws a UsageError if the file is one of the run's own.
 */
export function writeCSV(file: string, folder: string): { count: number; damaged: number } {
  checkNotOwnFile(file, folder);
  let count = 0;
  let damaged = 0;
  const countRows = function* () {
    const rows = iterateRows(folder, () => {
      damaged++;
    });
    for (const row of rows) {
      count++;
      yield row;
    }
  };
  const encode = function* () {
    for (const text of toCSV(countRows())) yield new TextEncoder().encode(text);
  };
  writeFile(file, encode());
  return { count, damaged };
}

/** Throws a UsageError if a file is, or would be, one that the run in a folder consists of. */
function checkNotOwnFile(file: string, folder: string): void {
  const parent = dirname(resolve(file));
  const isMissing = !existsSync(parent) || !existsSync(folder);
  const path = isMissing ? "" : relative(realpathSync(folder), realpathSync(parent));
  const isInCheckpoint = checkpointNames.some((name) => name === path.split(sep)[0]);
  const isOwn = path === "" && !isMissing && ownFiles.includes(basename(file));
  if (isInCheckpoint || isOwn)
    throw new UsageError(`csv: ${file} is a file of the run; choose another name`);
}
