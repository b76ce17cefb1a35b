// Line charts: curves over one pair of axes, either of which may be logarithmic.

import { COLORS, type Figure, GREY, svgDocument, svgText } from "./figure.ts";

type Point = readonly [x: number, y: number];

export interface Curve {
  name: string;
  points: readonly Point[];
}

export interface LineChartOptions {
  title?: string;
  xLabel?: string;
  logX?: boolean;
  logY?: boolean;
}

/** The curves in axis coordinates: log10 of the value where an axis is logarithmic. */
interface ScaledChart {
  curves: { name: string; points: Point[] }[];
  xRange: [low: number, high: number];
  yRange: [low: number, high: number];
  /** Tick labels for axis coordinates. */
  formatX: (x: number) => string;
  formatY: (y: number) => string;
}

const MARKERS = "ox+*#@";

/** Draws curves. Points that a logarithmic axis cannot show are left out. */
export function lineChart(curves: readonly Curve[], options: LineChartOptions = {}): Figure {
  const chart = scale(curves, options);
  return { text: toText(chart, options), svg: toSvg(chart, options) };
}

function scale(curves: readonly Curve[], options: LineChartOptions): ScaledChart {
  const { logX = false, logY = false } = options;
  const scaleX = logX ? Math.log10 : Number;
  const scaleY = logY ? Math.log10 : Number;
  const scaled = curves.map(({ name, points }) => ({
    name,
    points: points
      .map(([x, y]) => [scaleX(x), scaleY(y)] as const)
      .filter((point) => point.every(Number.isFinite)),
  }));
  const all = scaled.flatMap(({ points }) => points);
  return {
    curves: scaled,
    xRange: range(all.map(([x]) => x)),
    yRange: range(all.map(([, y]) => y)),
    formatX: (x) => formatTick(x, logX),
    formatY: (y) => formatTick(y, logY),
  };
}

function toText(chart: ScaledChart, { title = "", xLabel = "" }: LineChartOptions): string {
  const columns = 64;
  const rows = 16;
  const margin = 9;
  const [x0, x1] = chart.xRange;
  const [y0, y1] = chart.yRange;

  const grid = Array.from({ length: rows }, () => new Array<string>(columns).fill(" "));
  for (const [c, { points }] of chart.curves.entries()) {
    for (const [x, y] of interpolate(points, columns)) {
      const column = Math.round(((x - x0) / (x1 - x0)) * (columns - 1));
      const row = Math.round(((y1 - y) / (y1 - y0)) * (rows - 1));
      grid[row][column] = MARKERS[c % MARKERS.length];
    }
  }
  const lines = grid.map((row, i) => {
    const isTick = i % 5 === 0;
    const tick = isTick ? chart.formatY(y1 - ((y1 - y0) * i) / (rows - 1)) : "";
    return `${tick.padStart(margin)} ${isTick ? "┤" : "│"}${row.join("").trimEnd()}`;
  });

  const legend = chart.curves.map(({ name }, c) => `${MARKERS[c % MARKERS.length]} ${name}`);
  const heading = [title, legend.join("   ")].filter(Boolean).join("  ");
  const axis = `${" ".repeat(margin)} └${"─".repeat(columns)}`;
  const first = chart.formatX(x0);
  const last = chart.formatX(x1);
  const label = center(xLabel, columns - first.length - last.length);
  const ticks = `${" ".repeat(margin)}  ${first}${label}${last}`;
  return [heading, ...lines, axis, ticks].join("\n");
}

function toSvg(chart: ScaledChart, { title = "", xLabel = "" }: LineChartOptions): string {
  const width = 640;
  const height = 340;
  const left = 60;
  const right = 16;
  const top = 34;
  const bottom = 44;
  const [x0, x1] = chart.xRange;
  const [y0, y1] = chart.yRange;
  const toPixelX = (x: number) => left + ((x - x0) / (x1 - x0)) * (width - left - right);
  const toPixelY = (y: number) => top + ((y1 - y) / (y1 - y0)) * (height - top - bottom);

  const ticks = [0, 1, 2, 3, 4].flatMap((i) => {
    const x = x0 + ((x1 - x0) * i) / 4;
    const y = y0 + ((y1 - y0) * i) / 4;
    const gridLine = `M${left} ${toPixelY(y).toFixed(1)}H${width - right}`;
    return [
      `<path stroke="${GREY}" stroke-opacity=".35" d="${gridLine}"/>`,
      svgText(left - 6, toPixelY(y) + 4, chart.formatY(y), "end"),
      svgText(toPixelX(x), height - bottom + 16, chart.formatX(x), "middle"),
    ];
  });
  const lines = chart.curves.flatMap(({ name, points }, c) => {
    const color = COLORS[c % COLORS.length];
    const pixels = points.map(([x, y]) => `${toPixelX(x).toFixed(1)},${toPixelY(y).toFixed(1)}`);
    const stroke = `fill="none" stroke="${color}" stroke-width="2"`;
    return [
      `<polyline ${stroke} points="${pixels.join(" ")}"/>`,
      svgText(width - right, top + 16 * (c + 1), name, "end", color),
    ];
  });
  const labels = [
    svgText(left, 18, title),
    svgText((left + width) / 2, height - 8, xLabel, "middle"),
  ];
  return svgDocument(width, height, [...ticks, ...lines, ...labels]);
}

/** Returns the minimum and the maximum, moved apart if they are equal. */
function range(values: readonly number[]): [low: number, high: number] {
  const low = Math.min(...values);
  const high = Math.max(...values);
  return low < high ? [low, high] : [low - 0.5, low + 0.5];
}

function formatTick(coordinate: number, isLog: boolean): string {
  if (isLog) return (10 ** coordinate).toExponential(0);
  return String(Number(coordinate.toPrecision(3)));
}

/** Adds points between distant neighbors, so that each column of text gets a marker. */
function interpolate(points: readonly Point[], columns: number): Point[] {
  const [x0, x1] = range(points.map(([x]) => x));
  return points.flatMap(([x, y], i) => {
    const [nextX, nextY] = points[i + 1] ?? [x, y];
    const count = Math.max(1, Math.ceil((Math.abs(nextX - x) / (x1 - x0)) * columns));
    return Array.from(
      { length: count },
      (_, k) => [x + ((nextX - x) * k) / count, y + ((nextY - y) * k) / count] as const,
    );
  });
}

function center(text: string, width: number): string {
  const left = Math.max(1, Math.floor((width - text.length) / 2));
  const right = Math.max(1, width - left - text.length);
  return " ".repeat(left) + text + " ".repeat(right);
}
