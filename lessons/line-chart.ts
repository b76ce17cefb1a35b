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

/** An axis starts and ends at a multiple of its step, with a tick at each multiple. */
interface Range {
  low: number;
  high: number;
  step: number;
}

/** The curves in axis coordinates: log10 of the value where an axis is logarithmic. */
interface ScaledChart {
  curves: { name: string; points: Point[] }[];
  xRange: Range;
  yRange: Range;
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
    xRange: range(
      all.map(([x]) => x),
      logX,
    ),
    yRange: range(
      all.map(([, y]) => y),
      logY,
    ),
    formatX: (x) => formatTick(x, logX),
    formatY: (y) => formatTick(y, logY),
  };
}

function toText(chart: ScaledChart, { title = "", xLabel = "" }: LineChartOptions): string {
  const columns = 64;
  const rows = 16;
  const margin = 9;
  const { low: x0, high: x1 } = chart.xRange;
  const { low: y0, high: y1 } = chart.yRange;

  const grid = Array.from({ length: rows }, () => new Array<string>(columns).fill(" "));
  for (const [c, { points }] of chart.curves.entries()) {
    for (const [x, y] of interpolate(points, columns / (x1 - x0))) {
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
  const height = 360;
  const left = 60;
  const right = width - 20;
  const top = 54; // below the title and the legend
  const bottom = height - 44;
  const { low: x0, high: x1 } = chart.xRange;
  const { low: y0, high: y1 } = chart.yRange;
  const toPixelX = (x: number) => left + ((x - x0) / (x1 - x0)) * (right - left);
  const toPixelY = (y: number) => top + ((y1 - y) / (y1 - y0)) * (bottom - top);

  const gridLines = ticks(chart.yRange).flatMap((y) => [
    `<path stroke="${GREY}" stroke-opacity=".35" d="M${left} ${toPixelY(y).toFixed(1)}H${right}"/>`,
    svgText(left - 6, toPixelY(y) + 4, chart.formatY(y), "end"),
  ]);
  const marks = ticks(chart.xRange).flatMap((x) => [
    `<path stroke="${GREY}" d="M${toPixelX(x).toFixed(1)} ${bottom}v5"/>`,
    svgText(toPixelX(x), bottom + 18, chart.formatX(x), "middle"),
  ]);
  const axes = `<path fill="none" stroke="${GREY}" d="M${left} ${top}V${bottom}H${right}"/>`;
  let legendX = left;
  const lines = chart.curves.flatMap(({ name, points }, c) => {
    const color = COLORS[c % COLORS.length];
    const pixels = points.map(([x, y]) => `${toPixelX(x).toFixed(1)},${toPixelY(y).toFixed(1)}`);
    const stroke = `fill="none" stroke="${color}" stroke-width="2"`;
    const x = legendX;
    legendX += 40 + 7 * name.length;
    return [
      `<polyline ${stroke} points="${pixels.join(" ")}"/>`,
      `<path ${stroke} d="M${x} 34h16"/>`,
      svgText(x + 22, 38, name, "start", color),
    ];
  });
  const labels = [
    svgText(left, 18, title),
    svgText((left + width) / 2, height - 8, xLabel, "middle"),
  ];
  return svgDocument(width, height, [...gridLines, ...marks, axes, ...lines, ...labels]);
}

/**
 * Returns an axis that contains all values and has at most six ticks. Its step is 1, 2 or 5 times a
 * power of ten; on a logarithmic axis, whose values are logarithms, it is a whole number.
 */
function range(values: readonly number[], isLog: boolean): Range {
  const least = Math.min(...values);
  const most = Math.max(...values);
  const rough = (most - least || 1) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const nice = ([1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999) as number) * power;
  const step = isLog ? Math.max(1, Math.ceil(rough)) : nice;
  const low = step * Math.floor(least / step + 1e-9);
  const high = step * Math.ceil(most / step - 1e-9);
  return low < high ? { low, high, step } : { low: low - step, high: high + step, step };
}

/** Returns the multiples of the step from the start of an axis to its end. */
function ticks({ low, high, step }: Range): number[] {
  const count = Math.round((high - low) / step);
  return Array.from({ length: count + 1 }, (_, i) => low + i * step);
}

function formatTick(coordinate: number, isLog: boolean): string {
  if (isLog) return (10 ** coordinate).toExponential(0);
  return String(Number(coordinate.toPrecision(3)));
}

/** Adds points between distant neighbors, so that each column of text gets a marker. */
function interpolate(points: readonly Point[], columnsPerUnit: number): Point[] {
  return points.flatMap(([x, y], i) => {
    const [nextX, nextY] = points[i + 1] ?? [x, y];
    const count = Math.max(1, Math.ceil(Math.abs(nextX - x) * columnsPerUnit));
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
