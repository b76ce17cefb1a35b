// Formats the results of the benchmark: a table of rows, their means, and a bar chart.

import { drawChart, formatRatio } from "./chart.ts";
import type { Result, Setting } from "./child.ts";
import { geometricMean } from "./command.ts";

export type Row = Result & {
  /** The speedup over ts, or null if ts was not measured. */
  ratio: number | null;
};

const widths = [-26, -28, -13, 10, 16, 12, 9]; // negative: left-aligned

function formatColumns(...cells: string[]): string {
  const fitted = cells.map((cell, i) =>
    widths[i] < 0 ? cell.padEnd(-widths[i]) : cell.padStart(widths[i]),
  );
  return fitted.join("").trimEnd();
}

/** Formats the name of the device and the header of the table. */
export function formatHeading({ device, simd, threads }: Setting): string {
  const details = simd ? `: ${simd}, ${threads} ${threads === 1 ? "thread" : "threads"}` : "";
  const names = ["kernel", "shape", "model", "median", "rate", "of ceiling", "to ts"];
  return `\n${device}${details}\n${formatColumns(...names)}`;
}

/** Formats a row of the table. */
export function formatRow({ kernel, shape, model, ms, rate, unit, share, ratio }: Row): string {
  const time = ms < 1 ? `${(1000 * ms).toFixed(1)} µs` : `${ms.toFixed(2)} ms`;
  const numbers = [
    time,
    `${rate.toFixed(2)} ${unit.padEnd(7)}`,
    formatPercent(share),
    ratio ? formatRatio(ratio) : "",
  ];
  return formatColumns(kernel, shape, model, ...numbers);
}

/** Formats the geometric means over the rows of a device, with the worst row of each. */
export function formatSummary(rows: Row[]): string {
  const mean = (name: string, show: (x: number) => string, values: (number | null)[]) => {
    const known = values.filter((x) => x !== null);
    if (known.length === 0) return "";
    const least = Math.min(...known);
    const { kernel, shape, model } = rows[values.indexOf(least)];
    const worst = `least ${show(least)}: ${kernel}, ${shape}, ${model}`;
    return `${name}: geometric mean ${show(geometricMean(known))}, ${worst}`;
  };
  const shares = rows.map(({ share }) => share);
  const ratios = rows.map(({ device, ratio }) => (device === "ts" ? null : ratio));
  return [mean("of ceiling", formatPercent, shares), mean("to ts", formatRatio, ratios)]
    .filter(Boolean)
    .join("\n");
}

/** Draws the speedup of each kernel over ts, the geometric mean of its rows, as SVG. */
export function drawBars(rows: Row[]): string {
  const compared = rows.filter(({ device, ratio }) => device !== "ts" && ratio !== null);
  const devices = [...new Set(compared.map(({ device }) => device))];
  const kernels = [...new Set(compared.map(({ kernel }) => kernel))];
  const groups = kernels.map((name) => {
    const values = devices.map((device) => {
      const matching = compared.filter((row) => row.kernel === name && row.device === device);
      return matching.length > 0
        ? geometricMean(matching.map(({ ratio }) => ratio as number))
        : null;
    });
    return { name, values };
  });
  return drawChart("times faster than ts", devices, groups);
}

function formatPercent(share: number): string {
  return `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
}
