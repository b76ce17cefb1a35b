// The metrics of a run: metrics.jsonl, with one JSON object per line, and loss.svg, their plot.

import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { replaceFile } from "../files/durable.ts";

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

/** Appends a row to metrics.jsonl. */
export function appendRow(folder: string, row: MetricsRow): void {
  appendFileSync(join(folder, "metrics.jsonl"), `${JSON.stringify(row)}\n`);
}

/** Reads all rows of metrics.jsonl, except for an incomplete last line. */
export function readRows(folder: string): MetricsRow[] {
  const file = join(folder, "metrics.jsonl");
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, "utf8").split("\n");
  lines.pop(); // what follows the last newline is empty or incomplete
  return lines.map((line) => JSON.parse(line));
}

/** Drops the rows from `step` on, because a run resumed at that step writes them again. */
export function dropRowsFrom(folder: string, step: number): void {
  const rows = readRows(folder).filter((row) => row.step < step);
  const lines = rows.map((row) => `${JSON.stringify(row)}\n`);
  replaceFile(join(folder, "metrics.jsonl"), lines.join(""));
}

const curves = [
  { key: "loss", name: "batch", color: "#b8c4d0", width: 1 },
  { key: "trainLoss", name: "train", color: "#1f77b4", width: 2 },
  { key: "valLoss", name: "validation", color: "#d62728", width: 2 },
] as const;
const WIDTH = 720;
const HEIGHT = 400;
const MARGIN = { left: 48, right: 16, top: 16, bottom: 36 };

/** Plots the losses over the steps and writes loss.svg. */
export function plotLosses(folder: string): void {
  const rows = readRows(folder);
  const losses = rows.flatMap((row) => curves.flatMap(({ key }) => row[key] ?? []));
  if (losses.length === 0) return;
  const lastStep = Math.max(1, ...rows.map((row) => row.step));
  const low = Math.min(...losses);
  const high = Math.max(...losses);
  const plotWidth = WIDTH - MARGIN.left - MARGIN.right;
  const plotHeight = HEIGHT - MARGIN.top - MARGIN.bottom;
  const toX = (step: number) => MARGIN.left + (step / lastStep) * plotWidth;
  const toY = (loss: number) => MARGIN.top + ((high - loss) / (high - low || 1)) * plotHeight;
  const polylines = curves.map(({ key, color, width }) => {
    const points = rows.flatMap((row) => {
      const loss = row[key];
      return loss === undefined ? [] : `${toX(row.step).toFixed(1)},${toY(loss).toFixed(1)}`;
    });
    const style = `fill="none" stroke="${color}" stroke-width="${width}"`;
    return `<polyline ${style} points="${points.join(" ")}"/>`;
  });
  const ticks = [0, 1, 2, 3, 4].flatMap((i) => {
    const loss = low + ((high - low) * i) / 4;
    const step = Math.round((lastStep * i) / 4);
    return [
      `<path stroke="#ddd" d="M${MARGIN.left} ${toY(loss)}H${WIDTH - MARGIN.right}"/>`,
      label(MARGIN.left - 6, toY(loss) + 4, "end", loss.toFixed(2)),
      label(toX(step), HEIGHT - 14, "middle", String(step)),
    ];
  });
  const legend = curves.map(({ name, color }, i) =>
    label(WIDTH - MARGIN.right, MARGIN.top + 14 * (i + 1), "end", name, color),
  );
  const size = `width="${WIDTH}" height="${HEIGHT}" viewBox="0 0 ${WIDTH} ${HEIGHT}"`;
  const font = `font-family="sans-serif" font-size="12"`;
  const svg = [
    `<svg xmlns="http://www.w3.org/2000/svg" ${size} ${font}>`,
    `<rect width="100%" height="100%" fill="#fff"/>`,
    ...ticks,
    ...polylines,
    ...legend,
    "</svg>",
    "",
  ];
  writeFileSync(join(folder, "loss.svg"), svg.join("\n"));
}

function label(x: number, y: number, anchor: string, text: string, color = "#555"): string {
  return `<text x="${x}" y="${y}" text-anchor="${anchor}" fill="${color}">${text}</text>`;
}

const columns: readonly (keyof MetricsRow)[] = [
  "step",
  "elapsedSeconds",
  "loss",
  "lr",
  "gradNorm",
  "tokensPerSecond",
  "trainLoss",
  "valLoss",
];

/** Converts rows to comma-separated values (RFC 4180). Missing values are empty. */
export function toCSV(rows: readonly MetricsRow[]): string {
  const lines = rows.map((row) => columns.map((name) => row[name] ?? "").join(","));
  return [columns.join(","), ...lines, ""].join("\r\n");
}
