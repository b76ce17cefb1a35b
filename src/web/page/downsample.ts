// 10^5 points on 1,000 pixels: of those that fall into one column of pixels only the lowest and the
// highest can be seen, so only they are drawn. All lines then share one x axis, as uPlot wants it,
// though runs have logged at steps and times of their own.

import type { Numbers } from "./series.ts";

/** What is drawn of the x axis. */
export type Range = readonly [low: number, high: number];

/** Two places in each of `count` columns, and one at either edge, where lines leave the picture. */
export function placesOf([low, high]: Range, count: number): number[] {
  const width = (high - low) / count;
  const inside = Array.from({ length: 2 * count }, (_, i) => low + ((i >> 1) + 0.5) * width);
  for (let i = 1; i < inside.length; i += 2) inside[i] += width / 4;
  return [low, ...inside, high];
}

/**
 * A line at those places: in each column its lowest and its highest value, in the order in which
 * they come, or its only one; null where there is none. `x` rises.
 */
export function thin(x: Numbers, y: Numbers, [low, high]: Range, count: number): (number | null)[] {
  const thinned = new Array<number | null>(2 * count + 2).fill(null);
  const [xs, ys] = [x.values, y.values];
  const begin = x.placeOf(low);
  let end = x.placeOf(high);
  while (end < x.length && xs[end] <= high) end++;
  const perUnit = count / (high - low);
  const edgeOf = (column: number) => (column < count ? low + column / perUnit : Infinity);
  for (let at = begin; at < end; ) {
    let column = Math.min(count - 1, Math.floor((xs[at] - low) * perUnit));
    if (xs[at] >= edgeOf(column + 1)) column++; // it was rounded
    const next = x.placeOf(edgeOf(column + 1), at, end);
    const [first, second] = y.extremes(at, next);
    at = Math.max(at + 1, next);
    if (Number.isNaN(ys[first])) continue;
    thinned[2 * column + 1] = ys[first];
    if (ys[first] !== ys[second]) thinned[2 * column + 2] = ys[second];
  }
  thinned[0] = between(x, y, begin, low);
  thinned[2 * count + 1] = between(x, y, end, high);
  return thinned;
}

/** Where the line between point `i` and the one before it passes `place`; null beyond its ends. */
function between({ values: xs, length }: Numbers, y: Numbers, i: number, place: number) {
  if (i === 0 || i >= length) return null;
  const share = (place - xs[i - 1]) / (xs[i] - xs[i - 1]);
  const value = y.values[i - 1] + share * (y.values[i] - y.values[i - 1]);
  return Number.isFinite(value) ? value : null;
}
