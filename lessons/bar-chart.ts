// Bar charts: one horizontal bar for each named value.

import { COLORS, type Figure, svgDocument, svgText } from "./figure.ts";

export interface BarChartOptions {
  title?: string;
  /** Formats a value for its label. Default: three significant digits. */
  format?: (value: number) => string;
  /** Makes bars proportional to the logarithm of the value. */
  log?: boolean;
  /** The value of an empty bar. Default: 0, or half the minimum with `log`. */
  low?: number;
}

/** Draws the values as bars, in the order of the record. */
export function barChart(
  values: Readonly<Record<string, number>>,
  options: BarChartOptions = {},
): Figure {
  const { title = "", log = false } = options;
  const { format = (value: number) => String(Number(value.toPrecision(3))) } = options;
  const numbers = Object.values(values);
  const { low = log ? Math.min(...numbers) / 2 : 0 } = options;
  const scale = log ? Math.log : (x: number) => x;
  const longest = scale(Math.max(...numbers)) - scale(low) || 1;
  const bars = Object.entries(values).map(([name, value]) => ({
    name,
    label: format(value),
    length: Math.max(0, (scale(value) - scale(low)) / longest), // 0 to 1
  }));
  const margin = Math.max(...bars.map(({ name }) => [...name].length));

  const lines = bars.map(({ name, label, length }) => {
    const bar = "█".repeat(Math.round(48 * length));
    return `${name.padStart(margin)} │${bar} ${label}`;
  });
  const start = low === 0 ? "" : `bars start at ${format(low)}`;
  const heading = [title, start].filter(Boolean).join("; ");
  if (heading) lines.unshift(heading);

  const left = 16 + 7 * margin;
  const rowHeight = 22;
  const fullLength = 380;
  const elements = bars.flatMap(({ name, label, length }, i) => {
    const y = 32 + rowHeight * i;
    const size = `width="${(fullLength * length).toFixed(1)}" height="${rowHeight - 6}"`;
    return [
      svgText(left - 6, y + 12, name, "end"),
      `<rect x="${left}" y="${y}" ${size} fill="${COLORS[0]}"/>`,
      svgText(left + fullLength * length + 6, y + 12, label),
    ];
  });
  const height = 40 + rowHeight * bars.length;
  const svg = svgDocument(left + fullLength + 80, height, [
    svgText(left, 18, heading),
    ...elements,
  ]);
  return { text: lines.join("\n"), svg };
}
