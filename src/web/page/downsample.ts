// Reduces a line to what a chart can show. In one column of pixels, only the lowest and the highest
// of many points are visible, so only these are plotted. All lines then share one x axis, as uPlot
// requires, even if the runs were logged at different steps and times.

import type { Column } from "./column.ts";

/** The visible range of the x axis. */
export type Range = readonly [low: number, high: number];

/**
 * Returns the x values of a downsampled line: two in each of `count` pixel columns, and one at each
 * edge, where lines leave the plot.
 */
export function getSampleXs([low, high]: Range, count: number): number[] {
  const width = (high - low) / count;
  const inside = [];
  for (let column = 0; column < count; column++) {
    const center = low + (column + 0.5) * width;
    inside.push(center, center + width / 4);
  }
  return [low, ...inside, high];
}

/**
 * Returns the y values of a line at these x values: for each pixel column, its minimum and maximum
 * in their original order, a single value if they are equal, or null if there is none. `x` must be
 * sorted.
 */
export function downsample(
  x: Column,
  y: Column,
  [low, high]: Range,
  count: number,
): (number | null)[] {
  const sampled = new Array<number | null>(2 * count + 2).fill(null);
  const xs = x.values;
  const ys = y.values;
  const begin = x.lowerBound(low);
  let end = x.lowerBound(high);
  while (end < x.length && xs[end] <= high) end++;
  const columnsPerUnit = count / (high - low);
  const getLeftEdge = (column: number) =>
    column < count ? low + column / columnsPerUnit : Infinity;
  let i = begin;
  while (i < end) {
    let column = Math.min(count - 1, Math.floor((xs[i] - low) * columnsPerUnit));
    if (xs[i] >= getLeftEdge(column + 1)) column++; // the product above was rounded down
    const next = x.lowerBound(getLeftEdge(column + 1), i, end);
    const [first, second] = y.findExtremes(i, next);
    i = Math.max(i + 1, next);
    if (Number.isNaN(ys[first])) continue;
    sampled[2 * column + 1] = ys[first];
    if (ys[first] !== ys[second]) sampled[2 * column + 2] = ys[second];
  }
  sampled[0] = interpolate(x, y, begin, low);
  sampled[2 * count + 1] = interpolate(x, y, end, high);
  return sampled;
}

/** Returns y at `target`, between the points i - 1 and i. Null if one of them does not exist. */
function interpolate(x: Column, y: Column, i: number, target: number): number | null {
  if (i === 0 || i >= x.length) return null;
  const fraction = (target - x.values[i - 1]) / (x.values[i] - x.values[i - 1]);
  const value = y.values[i - 1] + fraction * (y.values[i] - y.values[i - 1]);
  return Number.isFinite(value) ? value : null;
}
