// The table that lessons 4 to 10 fill: the loss of each model on text that it has not seen. It is
// kept in runs/lessons/losses.json, so that a lesson shows the rows of those told before it.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const file = join("runs", "lessons", "losses.json");

/** The rows of one text: what the model has, its loss, and its number of parameters. */
type Rows = Record<string, { lesson: number; loss: number; parameters: number }>;

/** Adds a row, or writes it anew, and prints the table of all rows for that text. */
export function addLoss(
  text: string,
  name: string,
  row: { lesson: number; loss: number; parameters: number },
): void {
  const all = read();
  const rows = { ...all[text], [name]: row };
  mkdirSync(join("runs", "lessons"), { recursive: true });
  writeFileSync(file, `${JSON.stringify({ ...all, [text]: rows }, null, 2)}\n`);
  const sorted = inOrder(rows);
  const width = Math.max(...sorted.map(([name]) => name.length));
  console.log(`\nvalidation losses on ${text}, the lessons so far`);
  for (const [name, { lesson, loss, parameters }] of sorted) {
    const bar = "█".repeat(Math.max(0, Math.round((loss - 1.8) * 60)));
    const count = parameters.toLocaleString("en").padStart(8);
    console.log(
      `${String(lesson).padStart(2)}  ${name.padEnd(width)} ${count}  ${loss.toFixed(3)} ${bar}`,
    );
  }
}

/** The losses on a text so far, by name, in the order of the lessons. */
export function lossesOf(text: string): Record<string, number> {
  const rows = inOrder(read()[text] ?? {});
  return Object.fromEntries(rows.map(([name, { loss }]) => [name, loss]));
}

function read(): Record<string, Rows> {
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : {};
}

/** By lesson; the rows of one as they fall. */
function inOrder(rows: Rows) {
  return Object.entries(rows).sort(([, a], [, b]) => a.lesson - b.lesson || b.loss - a.loss);
}
