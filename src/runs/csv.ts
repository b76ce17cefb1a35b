// The metrics of a run as a CSV table (RFC 4180).

import { writeFile } from "../files/output.ts";
import { columns, iterateRows, type MetricsRow } from "./metrics.ts";

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

/** Writes the metrics of a run to a CSV file, and returns the number of rows. */
export function writeCSV(file: string, folder: string): number {
  let count = 0;
  const countRows = function* () {
    for (const row of iterateRows(folder)) {
      count++;
      yield row;
    }
  };
  const encode = function* () {
    for (const text of toCSV(countRows())) yield new TextEncoder().encode(text);
  };
  writeFile(file, encode());
  return count;
}
