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
  const all: Record<string, Rows> = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : {};
  const rows = { ...all[text], [name]: row };
  mkdirSync(join("runs", "lessons"), { recursive: true });
  writeFileSync(file, `${JSON.stringify({ ...all, [text]: rows }, null, 2)}\n`);
  const sorted = Object.entries(rows).sort(
    ([, a], [, b]) => a.lesson - b.lesson || b.loss - a.loss,
  );
  const width = Math.max(...sorted.map(([name]) => name.length));
  console.log(`\nvalidation losses on ${text}, the lessons so far`);
  for (const [name, { lesson, loss, parameters }] of sorted) {
    const bar = "█".repeat(Math.max(0, Math.round((loss - 2) * 60)));
    const count = parameters.toLocaleString("en").padStart(8);
    console.log(
      `${String(lesson).padStart(2)}  ${name.padEnd(width)} ${count}  ${loss.toFixed(3)} ${bar}`,
    );
  }
}
