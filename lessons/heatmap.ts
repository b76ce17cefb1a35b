// Heat maps: a matrix as a grid of shaded cells.

import { COLORS, type Figure, GREY, INK, svgDocument, svgText } from "./figure.ts";

export interface HeatmapOptions {
  title?: string;
  rowLabels?: readonly string[];
  columnLabels?: readonly string[];
  /** The value drawn as an empty cell. Default: the smaller of 0 and the minimum. */
  low?: number;
  /** The value drawn as a solid cell. Default: the maximum. */
  high?: number;
  /** Text to write into each cell; an empty string for none. */
  cellText?: readonly (readonly string[])[];
}

/** Draws a matrix; larger values are darker, and NaN is an empty cell. */
export function heatmap(values: readonly number[][], options: HeatmapOptions = {}): Figure {
  const finite = values.flat().filter(Number.isFinite);
  const { low = Math.min(0, ...finite), high = Math.max(...finite) } = options;
  const intensities = values.map((row) =>
    row.map((x) => Math.min(1, Math.max(0, (x - low) / (high - low || 1))) || 0),
  );
  return { text: toText(intensities, options), svg: toSvg(intensities, low, high, options) };
}

function toText(intensities: number[][], options: HeatmapOptions): string {
  const { title = "", rowLabels = [], columnLabels = [], cellText = [] } = options;
  const shades = " ·░▒▓█";
  const margin = Math.max(0, ...rowLabels.map((label) => [...label].length));
  const cellWidth = Math.max(2, ...cellText.flat().map((text) => text.length + 1));
  const lines = intensities.map((row, i) => {
    const cells = row.map((intensity, j) => {
      const shade = shades[Math.round(intensity * (shades.length - 1))];
      return (cellText[i]?.[j] ?? "").padEnd(cellWidth, shade);
    });
    return `${(rowLabels[i] ?? "").padStart(margin)} │${cells.join("")}│`;
  });
  const labelsFit = columnLabels.every((label) => [...label].length <= cellWidth);
  if (columnLabels.length > 0 && labelsFit) {
    const header = columnLabels.map((label) => label.padEnd(cellWidth)).join("");
    lines.unshift(`${" ".repeat(margin)}  ${header}`);
  }
  if (title) lines.unshift(title);
  return lines.join("\n");
}

function toSvg(
  intensities: number[][],
  low: number,
  high: number,
  options: HeatmapOptions,
): string {
  const { title = "", rowLabels = [], columnLabels = [], cellText = [] } = options;
  const columns = intensities[0].length;
  const margin = Math.max(0, ...rowLabels.map((label) => [...label].length));
  const cellHeight = Math.max(6, Math.min(24, Math.floor(560 / Math.max(columns, 1))));
  const texts = [...columnLabels, ...cellText.flat()];
  const longest = Math.max(0, ...texts.map((text) => [...text].length));
  const cellWidth = Math.max(cellHeight, longest > 1 ? 8 + 7 * longest : 0);
  const left = 14 + 7 * margin;
  const top = 26 + (columnLabels.length ? 16 : 0);
  const width = cellWidth * columns;
  const height = cellHeight * intensities.length;
  const centerX = (j: number) => left + cellWidth * (j + 0.5);
  const centerY = (i: number) => top + cellHeight * (i + 0.5) + 4; // of the baseline

  const cells = intensities.flatMap((row, i) =>
    row.map((intensity, j) => {
      const box = `x="${left + cellWidth * j}" y="${top + cellHeight * i}"`;
      const size = `width="${cellWidth}" height="${cellHeight}"`;
      return `<rect ${box} ${size} fill="${COLORS[0]}" fill-opacity="${intensity.toFixed(3)}"/>`;
    }),
  );
  const labels = cellText.flatMap((row, i) =>
    row.map((text, j) => {
      const color = intensities[i][j] > 0.5 ? "#ffffff" : INK;
      return text && svgText(centerX(j), centerY(i), text, "middle", color);
    }),
  );
  const box = `x="${left}" y="${top}" width="${width}" height="${height}"`;
  const frame = `<rect ${box} fill="none" stroke="${GREY}"/>`;
  const elements = [
    ...cells,
    svgText(left, 15, title),
    ...labels.filter(Boolean),
    ...rowLabels.map((label, i) => svgText(left - 5, centerY(i), label, "end")),
    ...columnLabels.map((label, j) => svgText(centerX(j), top - 5, label, "middle")),
    frame,
    ...colorScale(left, top + height + 8, low, high),
  ];
  const fullWidth = Math.max(left + width + 8, 14 + left + 7 * title.length, left + 250);
  return svgDocument(fullWidth, top + height + 28, elements);
}

/** Draws the shades from low to high in ten steps, with both values. */
function colorScale(left: number, top: number, low: number, high: number): string[] {
  const format = (value: number) => String(Number(value.toPrecision(2)));
  const start = left + 8 + 7 * format(low).length;
  const steps = Array.from({ length: 11 }, (_, i) => {
    const box = `x="${start + 12 * i}" y="${top}" width="12" height="12"`;
    return `<rect ${box} fill="${COLORS[0]}" fill-opacity="${(i / 10).toFixed(1)}"/>`;
  });
  const box = `x="${start}" y="${top}" width="132" height="12"`;
  return [
    svgText(start - 6, top + 10, format(low), "end"),
    ...steps,
    `<rect ${box} fill="none" stroke="${GREY}"/>`,
    svgText(start + 138, top + 10, format(high)),
  ];
}
