// How the figures of the benchmark are shown: a table of rows, their means, and bars.

import { chart, times } from "./chart.ts";
import type { Result, Setting } from "./child.ts";
import { geometricMean } from "./command.ts";

export type Row = Result & {
  /** How many times faster than ts; null where that was not measured. */
  ratio: number | null;
};

const widths = [-26, -28, -13, 10, 16, 12, 9]; // negative: flush left

function columns(...cells: string[]): string {
  const fitted = cells.map((cell, i) =>
    widths[i] < 0 ? cell.padEnd(-widths[i]) : cell.padStart(widths[i]),
  );
  return fitted.join("").trimEnd();
}

export function heading({ device, simd, threads }: Setting): string {
  const how = simd ? `: ${simd}, ${threads} ${threads === 1 ? "thread" : "threads"}` : "";
  const names = ["kernel", "shape", "model", "median", "rate", "of ceiling", "to ts"];
  return `\n${device}${how}\n${columns(...names)}`;
}

export function line({ kernel, shape, model, ms, rate, unit, share, ratio }: Row): string {
  const time = ms < 1 ? `${(1000 * ms).toFixed(1)} µs` : `${ms.toFixed(2)} ms`;
  const numbers = [
    time,
    `${rate.toFixed(2)} ${unit.padEnd(7)}`,
    percent(share),
    ratio ? times(ratio) : "",
  ];
  return columns(kernel, shape, model, ...numbers);
}

/** The means over a device's rows, and the row that is furthest behind in each. */
export function summary(rows: Row[]): string {
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
  return [mean("of ceiling", percent, shares), mean("to ts", times, ratios)]
    .filter(Boolean)
    .join("\n");
}

/** Bars: how many times faster than ts each kernel is, as the geometric mean of its rows. */
export function bars(rows: Row[]): string {
  const compared = rows.filter(({ device, ratio }) => device !== "ts" && ratio !== null);
  const devices = [...new Set(compared.map(({ device }) => device))];
  const kernels = [...new Set(compared.map(({ kernel }) => kernel))];
  const groups = kernels.map((name) => {
    const values = devices.map((device) => {
      const own = compared.filter((row) => row.kernel === name && row.device === device);
      return own.length > 0 ? geometricMean(own.map(({ ratio }) => ratio as number)) : null;
    });
    return { name, values };
  });
  return chart("times faster than ts", devices, groups);
}

function percent(share: number): string {
  return `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
}
