// metrics.jsonl, the metrics of a run: one JSON object per line. Rows are only ever appended. A
// crash or a full disk may leave damaged lines, which every reader passes over.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { replaceFile } from "../files/durable.ts";
import { isObject } from "../files/json.ts";
import { readLines } from "../files/lines.ts";

export interface MetricsRow {
  step: number;
  loss?: number;
  lr?: number;
  gradNorm?: number;
  tokensPerSecond?: number;
  elapsedSeconds: number;
  trainLoss?: number;
  valLoss?: number;
}

/** The metrics, in the order of a table's columns. */
export const columns: readonly (keyof MetricsRow)[] = [
  "step",
  "elapsedSeconds",
  "loss",
  "lr",
  "gradNorm",
  "tokensPerSecond",
  "trainLoss",
  "valLoss",
];

/** A byte order mark at the start of a line, decoded from UTF-8 or as Latin-1. */
const BYTE_ORDER_MARK = /^(\ufeff|\xef\xbb\xbf)/;

/** The maximum length of a line in bytes. Those that training writes have less than 300. */
const MAX_LINE_BYTES = 2 ** 16;

/** The path of a run's metrics. */
export function metricsFile(folder: string): string {
  return join(folder, "metrics.jsonl");
}

/** Formats a row as a line. */
export function formatRow(row: MetricsRow): string {
  return `${JSON.stringify(row)}\n`;
}

/**
 * Parses a line of metrics.jsonl; returns null if it is damaged: incomplete, not a JSON object,
 * without a step, or with a metric that is not a number. Only `step` is certain to be there. A
 * metric that is null, as JSON.stringify() writes NaN, counts as missing.
 */
export function parseRow(line: string): MetricsRow | null {
  let row: unknown;
  try {
    row = JSON.parse(line.replace(BYTE_ORDER_MARK, ""));
  } catch {
    return null;
  }
  if (!isObject(row) || typeof row.step !== "number" || row.step < 0) return null;
  for (const name of columns) {
    const value = row[name];
    if (value === null) delete row[name];
    else if (value !== undefined && !Number.isFinite(value)) return null;
  }
  return row as unknown as MetricsRow;
}

/** Yields the lines of a run's metrics with their rows, which are null for damaged lines. */
function* readParsedLines(folder: string): Generator<[line: string, row: MetricsRow | null]> {
  const file = metricsFile(folder);
  if (!existsSync(file)) return;
  for (const line of readLines(file, MAX_LINE_BYTES)) yield [line, parseRow(line)];
}

/**
 * Yields the rows of metrics.jsonl; none if there is no such file. Calls `damaged` for each line
 * that is not a row and not blank. Throws a FileError.
 */
export function* iterateRows(folder: string, damaged?: () => void): Generator<MetricsRow> {
  for (const [line, row] of readParsedLines(folder)) {
    if (row) yield row;
    else if (line.trim() !== "") damaged?.();
  }
}

/** Reads all rows of metrics.jsonl like iterateRows(). */
export function readRows(folder: string): MetricsRow[] {
  return [...iterateRows(folder)];
}

/**
 * Drops the rows from `step` on, because a run resumed at that step writes them again, and damaged
 * lines. All other lines keep their bytes; `visit` is called with each of their rows. Returns the
 * number of damaged lines, not counting blank ones. Throws a FileError.
 */
export function dropRowsFrom(
  folder: string,
  step: number,
  visit?: (row: MetricsRow) => void,
): number {
  let isUnchanged = true;
  let damaged = 0;
  for (const [line, row] of readParsedLines(folder)) {
    if (row && row.step < step) visit?.(row);
    else isUnchanged = false;
    if (!row && line.trim() !== "") damaged++;
    // the next row would continue this line
    if (!line.endsWith("\n")) isUnchanged = false;
  }
  if (!isUnchanged) replaceFile(metricsFile(folder), encodeRowsBefore(folder, step));
  return damaged;
}

/** Yields the bytes of the lines of metrics.jsonl with rows before a step. */
function* encodeRowsBefore(folder: string, step: number): Generator<Uint8Array> {
  let text = "";
  for (const [line, row] of readParsedLines(folder)) {
    if (!row || row.step >= step) continue;
    text += line.endsWith("\n") ? line : `${line}\n`;
    if (text.length < 2 ** 20) continue; // writes a few large chunks instead of many small ones
    yield Buffer.from(text, "latin1");
    text = "";
  }
  yield Buffer.from(text, "latin1");
}
