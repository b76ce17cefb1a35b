// The record of a run: metrics.jsonl, an object a line, and loss.svg, drawn from it.

import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { replaceFile } from "./checkpoint.ts";

export interface Row {
  step: number;
  loss?: number;
  lr?: number;
  gradNorm?: number;
  tokensPerSecond?: number;
  elapsedSeconds: number;
  trainLoss?: number;
  valLoss?: number;
}

/** Adds a line. */
export function appendRow(folder: string, row: Row): void {
  appendFileSync(join(folder, "metrics.jsonl"), `${JSON.stringify(row)}\n`);
}

/** All rows; a last line that was cut short is left out. */
export function readRows(folder: string): Row[] {
  const file = join(folder, "metrics.jsonl");
  if (!existsSync(file)) return [];
  // what follows the last newline is torn
  const lines = readFileSync(file, "utf8").split("\n").slice(0, -1);
  return lines.map((line) => JSON.parse(line));
}

/** Drops the rows from `step` on: a run that resumes there writes them again. */
export function dropRowsFrom(folder: string, step: number): void {
  const kept = readRows(folder).filter((row) => row.step < step);
  const lines = kept.map((row) => `${JSON.stringify(row)}\n`);
  replaceFile(join(folder, "metrics.jsonl"), lines.join(""));
}

const curves = [
  { key: "loss", name: "batch", color: "#b8c4d0", width: 1 },
  { key: "trainLoss", name: "train", color: "#1f77b4", width: 2 },
  { key: "valLoss", name: "validation", color: "#d62728", width: 2 },
] as const;
const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT] = [720, 400, 48, 36, 16, 16];

/** Draws the losses over the steps. */
export function plotLosses(folder: string): void {
  const rows = readRows(folder);
  const values = rows.flatMap((row) => curves.flatMap(({ key }) => row[key] ?? []));
  if (values.length === 0) return;
  const last = Math.max(1, ...rows.map((row) => row.step));
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const x = (step: number) => LEFT + (step / last) * (WIDTH - LEFT - RIGHT);
  const y = (loss: number) => TOP + ((high - loss) / (high - low || 1)) * (HEIGHT - TOP - BOTTOM);
  const text = (at: [number, number], anchor: string, content: string, color = "#555") =>
    `<text x="${at[0]}" y="${at[1]}" text-anchor="${anchor}" fill="${color}">${content}</text>`;
  const lines = curves.map(({ key, color, width }) => {
    const points = rows.flatMap((row) => {
      const loss = row[key];
      return loss === undefined ? [] : `${x(row.step).toFixed(1)},${y(loss).toFixed(1)}`;
    });
    const style = `fill="none" stroke="${color}" stroke-width="${width}"`;
    return `<polyline ${style} points="${points.join(" ")}"/>`;
  });
  const ticks = [0, 1, 2, 3, 4].flatMap((i) => {
    const [loss, step] = [low + ((high - low) * i) / 4, Math.round((last * i) / 4)];
    const line = `<path stroke="#ddd" d="M${LEFT} ${y(loss)}H${WIDTH - RIGHT}"/>`;
    const names = text([LEFT - 6, y(loss) + 4], "end", loss.toFixed(2));
    return [line, names, text([x(step), HEIGHT - 14], "middle", String(step))];
  });
  const legend = curves.map(({ name, color }, i) =>
    text([WIDTH - RIGHT, TOP + 14 * (i + 1)], "end", name, color),
  );
  const size = `width="${WIDTH}" height="${HEIGHT}" viewBox="0 0 ${WIDTH} ${HEIGHT}"`;
  const font = `font-family="sans-serif" font-size="12"`;
  const head = `<svg xmlns="http://www.w3.org/2000/svg" ${size} ${font}>`;
  const background = `<rect width="100%" height="100%" fill="#fff"/>`;
  const svg = [head, background, ...ticks, ...lines, ...legend, "</svg>", ""].join("\n");
  writeFileSync(join(folder, "loss.svg"), svg);
}

const columns = [
  ...["step", "elapsedSeconds", "loss", "lr", "gradNorm", "tokensPerSecond"],
  ...["trainLoss", "valLoss"],
] as (keyof Row)[];

/** Rows as comma-separated values, RFC 4180; what a row does not have is left empty. */
export function toCSV(rows: readonly Row[]): string {
  const lines = rows.map((row) => columns.map((name) => row[name] ?? "").join(","));
  return [columns.join(","), ...lines, ""].join("\r\n");
}
