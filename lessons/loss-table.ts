// The table of validation losses that lessons 4 to 10 fill, one row for each model. It is stored in
// runs/lessons/losses.json, so that each lesson also shows the rows of the lessons before it.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const folder = join("runs", "lessons");
const file = join(folder, "losses.json");

interface Row {
  lesson: number;
  loss: number;
  parameters: number;
}

/** The rows of one corpus, by model name. */
type Rows = Record<string, Row>;

/** Adds or replaces a row, saves the table and prints all rows of that corpus. */
export function addLoss(corpus: string, model: string, row: Row): void {
  const tables = readTables();
  const rows = { ...tables[corpus], [model]: row };
  mkdirSync(folder, { recursive: true });
  writeFileSync(file, `${JSON.stringify({ ...tables, [corpus]: rows }, null, 2)}\n`);

  const sorted = sortRows(rows);
  const width = Math.max(...sorted.map(([name]) => name.length));
  console.log(`\nvalidation losses on ${corpus} so far (bars start at 1.8)`);
  for (const [name, { lesson, loss, parameters }] of sorted) {
    const bar = "█".repeat(Math.max(0, Math.round((loss - 1.8) * 60)));
    const count = parameters.toLocaleString("en").padStart(8);
    console.log(
      `${String(lesson).padStart(2)}  ${name.padEnd(width)} ${count}  ${loss.toFixed(3)} ${bar}`,
    );
  }
}

/** Returns the losses on a corpus by model name, in the order of the lessons. */
export function getLosses(corpus: string): Record<string, number> {
  const rows = sortRows(readTables()[corpus] ?? {});
  return Object.fromEntries(rows.map(([name, { loss }]) => [name, loss]));
}

function readTables(): Record<string, Rows> {
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : {};
}

/** Sorts by lesson, and within a lesson from the highest loss to the lowest. */
function sortRows(rows: Rows): [name: string, row: Row][] {
  return Object.entries(rows).sort(([, a], [, b]) => a.lesson - b.lesson || b.loss - a.loss);
}
