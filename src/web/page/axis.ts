// The y axis of a chart: how far it reaches, and where a logarithmic one has its numbers.

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
