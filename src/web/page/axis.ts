// The axes of a chart: how far they reach, and where their numbers stand.

const tens = Array.from({ length: 12 }, (_, power) => 10 ** power);

/** How far apart the numbers on an axis of steps may stand. */
export const wholeSteps = tens.flatMap((ten) => [ten, 2 * ten, 5 * ten]);

/** The same for seconds: with minutes and hours. */
export const secondSteps = [
  ...[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30],
  ...[1, 2, 5, 10, 15, 30].map((minutes) => 60 * minutes),
  ...wholeSteps.map((hours) => 3600 * hours),
];

/** What a y axis shows of values from `low` to `high`: those, and a margin. */
export function yRange(
  low: number | null,
  high: number | null,
  isLog: boolean,
  fromZero: boolean,
): [number, number] {
  if (low === null || high === null) return isLog ? [1, 10] : [0, 1];
  if (isLog) return low < high ? [low / 1.03, high * 1.03] : [low / 2, high * 2];
  const margin = 0.05 * (high - low) || 0.05 * Math.abs(high) || 1;
  return fromZero && low >= 0 ? [0, high + margin] : [low - margin, high + margin];
}

/** Round numbers for a logarithmic axis: within a decade or so evenly spaced, else 1, 2 and 5. */
export function logTicks(low: number, high: number): number[] {
  if (high / low < 8) {
    const rough = (high - low) / 5;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * ([1, 2, 5, 10].find((by) => by * power >= rough) as number);
    const first = Math.ceil(low / step);
    const count = Math.floor(high / step) - first + 1;
    return Array.from({ length: count }, (_, i) => (first + i) * step);
  }
  const ticks = [];
  for (let power = 10 ** Math.floor(Math.log10(low)); power <= high; power *= 10)
    for (const by of high / low < 1e4 ? [1, 2, 5] : [1]) ticks.push(by * power);
  return ticks.filter((tick) => tick >= low && tick <= high);
}
