// The ranges and ticks of chart axes.

const powersOfTen = Array.from({ length: 12 }, (_, exponent) => 10 ** exponent);

/** The allowed tick spacings on an axis of steps. */
export const stepSpacings = powersOfTen.flatMap((power) => [power, 2 * power, 5 * power]);

/** The allowed tick spacings on a time axis, in seconds. */
export const timeSpacings = [
  ...[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30],
  ...[1, 2, 5, 10, 15, 30].map((minutes) => 60 * minutes),
  ...stepSpacings.map((hours) => 3600 * hours),
];

/** The smallest range in relation to its values: f64 can represent the ticks of such a range. */
const RESOLUTION = 1e-9;

/** Returns the range of a y axis for values from `low` to `high`: the values and a margin. */
export function yRange(
  low: number | null,
  high: number | null,
  isLog: boolean,
  fromZero: boolean,
): [number, number] {
  if (low === null || high === null) return isLog ? [1, 10] : [0, 1];
  if (isLog) return low < high ? [low / 1.03, high * 1.03] : [low / 2, high * 2];
  const size = Math.max(Math.abs(low), Math.abs(high));
  const margin = low < high ? Math.max(0.05 * (high - low), RESOLUTION * size) : 0.05 * size || 1;
  return fromZero && low >= 0 ? [0, high + margin] : [low - margin, high + margin];
}

/**
 * Returns round ticks for a logarithmic axis: evenly spaced if the range is less than about a
 * decade, otherwise 1, 2 and 5 times each power of ten.
 */
export function logTicks(low: number, high: number): number[] {
  if (high / low < 8) return linearTicks(low, high);
  const multiples = high / low < 1e4 ? [1, 2, 5] : [1];
  const ticks = [];
  for (let power = 10 ** Math.floor(Math.log10(low)); power <= high; power *= 10)
    ticks.push(...multiples.map((multiple) => multiple * power));
  return ticks.filter((tick) => tick >= low && tick <= high);
}

function linearTicks(low: number, high: number): number[] {
  const minimum = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(minimum));
  const multiple = [1, 2, 5, 10].find((candidate) => candidate * power >= minimum) as number;
  const step = power * multiple;
  const first = Math.ceil(low / step);
  const count = Math.floor(high / step) - first + 1;
  return Array.from({ length: count }, (_, i) => (first + i) * step);
}
