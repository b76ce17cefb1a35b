// Small pictures for the lessons: each is made twice, of characters for the terminal and as an SVG.
// A heat map of a matrix, and a chart of curves; graph.ts draws graphs.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface Picture {
  /** Lines of characters. */
  text: string;
  svg: string;
}

/** Prints a picture, and writes it to runs/lessons/NAME.svg. */
export function show(picture: Picture, name: string): void {
  const file = join("runs", "lessons", `${name}.svg`);
  mkdirSync(join("runs", "lessons"), { recursive: true });
  writeFileSync(file, picture.svg);
  console.log(`\n${picture.text}\n(drawn in ${file})\n`);
}

/** What stands for a character in a label: blanks can be seen. */
export function visible(character: string): string {
  return { "\n": "⏎", " ": "␣", "\t": "⇥" }[character] ?? character;
}

export interface HeatmapOptions {
  title?: string;
  /** Names of rows and columns. */
  rows?: readonly string[];
  columns?: readonly string[];
  /** The values that are drawn empty and full: at first, 0 or the least, and the greatest. */
  low?: number;
  high?: number;
  /** A mark to be set on each cell; empty for none. */
  marks?: readonly (readonly string[])[];
}

/** A matrix, the darker the greater. A NaN is drawn empty. */
export function heatmap(values: readonly number[][], options: HeatmapOptions = {}): Picture {
  const finite = values.flat().filter(Number.isFinite);
  const { title = "", rows = [], columns = [], marks = [] } = options;
  const { low = Math.min(0, ...finite), high = Math.max(...finite) } = options;
  const share = (x: number) => Math.min(1, Math.max(0, (x - low) / (high - low || 1))) || 0;

  const shades = " ·░▒▓█";
  const margin = Math.max(0, ...rows.map((name) => [...name].length));
  const wide = Math.max(2, ...marks.flat().map((mark) => mark.length + 1));
  const isNarrow = columns.length > 0 && columns.every((name) => [...name].length <= wide);
  const lines = values.map((row, i) => {
    const cells = row.map((x, j) => {
      const shade = shades[Math.round(share(x) * (shades.length - 1))];
      return (marks[i]?.[j] ?? "").padEnd(wide, shade);
    });
    return `${(rows[i] ?? "").padStart(margin)} │${cells.join("")}│`;
  });
  const names = columns.map((name) => name.padEnd(wide)).join("");
  const head = isNarrow ? [`${" ".repeat(margin)}  ${names}`] : [];

  const cell = Math.max(6, Math.min(24, Math.floor(560 / Math.max(values[0].length, 1))));
  const [left, top] = [14 + 7 * margin, 26 + (columns.length ? 16 : 0)];
  const rects = values.flatMap((row, i) =>
    row.map((x, j) => {
      const at = `x="${left + cell * j}" y="${top + cell * i}" width="${cell}" height="${cell}"`;
      return `<rect ${at} fill="${COLORS[0]}" fill-opacity="${share(x).toFixed(3)}"/>`;
    }),
  );
  const size = [left + cell * values[0].length + 8, top + cell * values.length + 8] as const;
  const [width, height] = [size[0] - left - 8, size[1] - top - 8];
  const frame = `<rect x="${left}" y="${top}" width="${width}" height="${height}"`;
  const words = [
    label(left, 15, title),
    ...marks.flatMap((row, i) =>
      row.map((mark, j) => {
        const [x, y] = [left + cell * (j + 0.5), top + cell * (i + 0.5) + 4];
        return mark && label(x, y, mark, "middle", COLORS[1]);
      }),
    ),
    ...rows.map((name, i) => label(left - 5, top + cell * (i + 0.5) + 4, name, "end")),
    ...columns.map((name, j) => label(left + cell * (j + 0.5), top - 5, name, "middle")),
    `${frame} fill="none" stroke="${GREY}"/>`,
  ];
  const text = [...(title ? [title] : []), ...head, ...lines].join("\n");
  return {
    text,
    svg: document(Math.max(size[0], 14 + left + 7 * title.length), size[1], [
      ...rects,
      ...words.filter(Boolean),
    ]),
  };
}

export interface Curve {
  name: string;
  points: readonly (readonly [x: number, y: number])[];
}

export interface ChartOptions {
  title?: string;
  /** What the axes count. */
  x?: string;
  y?: string;
  logX?: boolean;
  logY?: boolean;
}

/** Curves over one pair of axes, either of which may be logarithmic. */
export function chart(curves: readonly Curve[], options: ChartOptions = {}): Picture {
  const { title = "", x: xName = "", y: yName = "", logX = false, logY = false } = options;
  const [X, Y] = [logX ? Math.log10 : Number, logY ? Math.log10 : Number];
  const placed = curves.map(({ name, points }) => ({
    name,
    points: points.map(([x, y]) => [X(x), Y(y)]).filter((point) => point.every(Number.isFinite)),
  }));
  const all = placed.flatMap(({ points }) => points);
  const [x0, x1] = range(all.map(([x]) => x));
  const [y0, y1] = range(all.map(([, y]) => y));
  const value = (at: number, isLog: boolean) =>
    isLog ? (10 ** at).toExponential(0) : String(Number(at.toPrecision(3)));

  const [columns, rows] = [64, 16];
  const grid = Array.from({ length: rows }, () => new Array<string>(columns).fill(" "));
  for (const [c, { points }] of placed.entries())
    for (const [x, y] of thickened(points, columns)) {
      const [j, i] = [((x - x0) / (x1 - x0)) * (columns - 1), ((y1 - y) / (y1 - y0)) * (rows - 1)];
      grid[Math.round(i)][Math.round(j)] = MARKS[c % MARKS.length];
    }
  const margin = 9;
  const lines = grid.map((row, i) => {
    const isNamed = i % 5 === 0;
    const name = isNamed ? value(y1 - ((y1 - y0) * i) / (rows - 1), logY) : "";
    return `${name.padStart(margin)} ${isNamed ? "┤" : "│"}${row.join("").trimEnd()}`;
  });
  const ends = [value(x0, logX), value(x1, logX)];
  const rest = columns - ends[0].length - ends[1].length;
  const axis = `${" ".repeat(margin)}  ${ends[0]}${centered(xName, rest)}${ends[1]}`;
  const legend = curves.map(({ name }, c) => `${MARKS[c % MARKS.length]} ${name}`).join("   ");
  const floor = `${" ".repeat(margin)} └${"─".repeat(columns)}`;
  const heading = [title, yName && `${yName}:`, legend].filter(Boolean).join("  ");

  const [width, height, left, right, top, bottom] = [640, 340, 60, 16, 34, 44];
  const px = (x: number) => left + ((x - x0) / (x1 - x0)) * (width - left - right);
  const py = (y: number) => top + ((y1 - y) / (y1 - y0)) * (height - top - bottom);
  const ticks = [0, 1, 2, 3, 4].flatMap((i) => {
    const [x, y] = [x0 + ((x1 - x0) * i) / 4, y0 + ((y1 - y0) * i) / 4];
    const line = `M${left} ${py(y).toFixed(1)}H${width - right}`;
    return [
      `<path stroke="${GREY}" stroke-opacity=".35" d="${line}"/>`,
      label(left - 6, py(y) + 4, value(y, logY), "end"),
      label(px(x), height - bottom + 16, value(x, logX), "middle"),
    ];
  });
  const drawn = placed.flatMap(({ name, points }, c) => {
    const color = COLORS[c % COLORS.length];
    const path = points.map(([x, y]) => `${px(x).toFixed(1)},${py(y).toFixed(1)}`).join(" ");
    const stroke = `fill="none" stroke="${color}" stroke-width="2" points="${path}"`;
    return [`<polyline ${stroke}/>`, label(width - right, top + 16 * (c + 1), name, "end", color)];
  });
  const names = [
    label(left, 18, [title, yName].filter(Boolean).join(": ")),
    label((left + width) / 2, height - 8, xName, "middle"),
  ];
  const text = [heading, ...lines, floor, axis].join("\n");
  return { text, svg: document(width, height, [...ticks, ...drawn, ...names]) };
}

const MARKS = "ox+*#@";
export const GREY = "#808890";
export const COLORS = ["#2f81d6", "#d9822b", "#3fa45b", "#b8529a", "#c0392b", "#6f7d8c"];

/** The least and the greatest, never equal. */
function range(values: readonly number[]): [number, number] {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return low < high ? [low, high] : [low - 0.5, low + 0.5];
}

/** Points, and some between them where they lie far apart. */
function thickened(points: readonly number[][], columns: number): number[][] {
  const [x0, x1] = range(points.map(([x]) => x));
  return points.flatMap(([x, y], i) => {
    const [nextX, nextY] = points[i + 1] ?? [x, y];
    const n = Math.max(1, Math.ceil((Math.abs(nextX - x) / (x1 - x0)) * columns));
    return Array.from({ length: n }, (_, k) => [
      x + ((nextX - x) * k) / n,
      y + ((nextY - y) * k) / n,
    ]);
  });
}

function centered(text: string, width: number): string {
  const left = Math.max(1, Math.floor((width - text.length) / 2));
  return " ".repeat(left) + text + " ".repeat(Math.max(1, width - left - text.length));
}

/** A text in an SVG. */
export function label(x: number, y: number, text: string, anchor = "start", color = GREY): string {
  const marks: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };
  const content = text.replace(/[&<>]/g, (mark) => marks[mark]);
  return `<text x="${x}" y="${y}" text-anchor="${anchor}" fill="${color}">${content}</text>`;
}

/** An SVG without a background, in colours that can be read on white and on black. */
export function document(width: number, height: number, elements: readonly string[]): string {
  const size = `width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"`;
  const font = `font-family="sans-serif" font-size="12"`;
  const head = `<svg xmlns="http://www.w3.org/2000/svg" ${size} ${font}>`;
  return [head, ...elements, "</svg>", ""].join("\n");
}
