// A bar chart of speedups on a logarithmic scale: bars to the right of 1 are faster, bars to the
// left are slower. It has no background, and its colors are readable on white and on black.

/** A group of bars, one per series. null draws no bar. */
export interface Group {
  name: string;
  values: (number | null)[];
}

const GRAY = "#808890";
const COLORS = ["#2f81d6", "#d9822b", "#3fa45b"];
const WIDTH = 720;
const LEFT = 190;
const RIGHT = 56;
const TOP = 52;
const BAR = 12;

/** Draws a chart as SVG. */
export function drawChart(title: string, series: string[], groups: Group[]): string {
  const values = groups.flatMap((group) => group.values.filter((x) => x !== null));
  const low = Math.log10(Math.min(1, ...values));
  const high = Math.log10(Math.max(10, ...values));
  const scale = (WIDTH - LEFT - RIGHT) / (high - low);
  const x = (ratio: number) => Math.round(LEFT + (Math.log10(ratio) - low) * scale);
  const step = BAR * series.length + 6;
  const height = TOP + step * groups.length + 6;

  const grid: string[] = [];
  for (let power = Math.ceil(low); power <= high; power++) {
    const tick = x(10 ** power);
    grid.push(`<path stroke="${GRAY}" stroke-opacity=".4" d="M${tick} ${TOP - 6}V${height}"/>`);
    grid.push(drawText(tick, TOP - 12, `${10 ** power}x`, { anchor: "middle" }));
  }
  const bars = groups.flatMap(({ name, values }, g) => {
    const top = TOP + step * g;
    const label = drawText(LEFT - 8, top + (BAR * series.length) / 2 + 3, name, { anchor: "end" });
    return [label, ...values.map((value, s) => (value ? drawBar(value, top + BAR * s, s) : ""))];
  });
  const legend = series.map((name, s) => drawText(8 + 60 * s, 16, name, { color: COLORS[s] }));
  legend.push(drawText(WIDTH - 8, 16, title, { anchor: "end" }));
  const size = `width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}"`;
  const font = `font-family="sans-serif" font-size="11"`;
  const head = `<svg xmlns="http://www.w3.org/2000/svg" ${size} ${font}>`;
  return [head, ...grid, ...legend, ...bars, "</svg>", ""].filter(Boolean).join("\n");

  function drawBar(value: number, y: number, s: number): string {
    const from = Math.min(x(1), x(value));
    const to = Math.max(x(1), x(value));
    const size = `x="${from}" y="${y}" width="${to - from}" height="${BAR - 2}"`;
    const label = drawText(to + 5, y + BAR - 3, formatRatio(value));
    return `<rect fill="${COLORS[s]}" ${size}/>\n${label}`;
  }
}

/** Formats a speedup, as in 12.3x. */
export function formatRatio(ratio: number): string {
  return `${ratio < 1 ? ratio.toPrecision(2) : ratio.toPrecision(3)}x`;
}

function drawText(x: number, y: number, content: string, { anchor = "start", color = GRAY } = {}) {
  return `<text x="${x}" y="${y}" text-anchor="${anchor}" fill="${color}">${content}</text>`;
}
