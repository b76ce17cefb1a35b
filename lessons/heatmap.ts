// Heat maps: a matrix as a grid of shaded cells.

import { COLORS, type Figure, GREY, svgDocument, svgText } from "./figure.ts";

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
  return { text: toText(intensities, options), svg: toSvg(intensities, options) };
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

function toSvg(intensities: number[][], options: HeatmapOptions): string {
  const { title = "", rowLabels = [], columnLabels = [], cellText = [] } = options;
  const columns = intensities[0].length;
  const margin = Math.max(0, ...rowLabels.map((label) => [...label].length));
  const cell = Math.max(6, Math.min(24, Math.floor(560 / Math.max(columns, 1))));
  const left = 14 + 7 * margin;
  const top = 26 + (columnLabels.length ? 16 : 0);
  const width = cell * columns;
  const height = cell * intensities.length;
  const centerX = (j: number) => left + cell * (j + 0.5);
  const centerY = (i: number) => top + cell * (i + 0.5) + 4; // the baseline of a centered text

  const cells = intensities.flatMap((row, i) =>
    row.map((intensity, j) => {
      const x = left + cell * j;
      const y = top + cell * i;
      const opacity = intensity.toFixed(3);
      const box = `x="${x}" y="${y}" width="${cell}" height="${cell}"`;
      return `<rect ${box} fill="${COLORS[0]}" fill-opacity="${opacity}"/>`;
    }),
  );
  const texts = cellText.flatMap((row, i) =>
    row.map((text, j) => text && svgText(centerX(j), centerY(i), text, "middle", COLORS[1])),
  );
  const box = `x="${left}" y="${top}" width="${width}" height="${height}"`;
  const frame = `<rect ${box} fill="none" stroke="${GREY}"/>`;
  const elements = [
    ...cells,
    svgText(left, 15, title),
    ...texts.filter(Boolean),
    ...rowLabels.map((label, i) => svgText(left - 5, centerY(i), label, "end")),
    ...columnLabels.map((label, j) => svgText(centerX(j), top - 5, label, "middle")),
    frame,
  ];
  const fullWidth = Math.max(left + width + 8, 14 + left + 7 * title.length);
  return svgDocument(fullWidth, top + height + 8, elements);
}
