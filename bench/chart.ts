// A bar chart of ratios on a logarithmic scale: bars to the right of 1 are faster, to the left of
// it slower. Drawn without a background, in colours that can be read on white and on black.

/** A group of bars, one for each series; null draws none. */
export interface Group {
  name: string;
  values: (number | null)[];
}

const GREY = "#808890";
const COLORS = ["#2f81d6", "#d9822b", "#3fa45b"];
const [WIDTH, LEFT, RIGHT, TOP, BAR] = [720, 190, 56, 52, 12];

export function chart(title: string, series: string[], groups: Group[]): string {
  const values = groups.flatMap((group) => group.values.filter((x) => x !== null));
  const [low, high] = [Math.min(1, ...values), Math.max(10, ...values)].map(Math.log10);
  const scale = (WIDTH - LEFT - RIGHT) / (high - low);
  const x = (ratio: number) => Math.round(LEFT + (Math.log10(ratio) - low) * scale);
  const step = BAR * series.length + 6;
  const height = TOP + step * groups.length + 6;

  const grid: string[] = [];
  for (let power = Math.ceil(low); power <= high; power++) {
    const at = x(10 ** power);
    grid.push(`<path stroke="${GREY}" stroke-opacity=".4" d="M${at} ${TOP - 6}V${height}"/>`);
    grid.push(text(at, TOP - 12, `${10 ** power}x`, { anchor: "middle" }));
  }
  const bars = groups.flatMap(({ name, values }, g) => {
    const top = TOP + step * g;
    const label = text(LEFT - 8, top + (BAR * series.length) / 2 + 3, name, { anchor: "end" });
    return [label, ...values.map((value, s) => (value ? bar(value, top + BAR * s, s) : ""))];
  });
  const legend = series.map((name, s) => text(8 + 60 * s, 16, name, { color: COLORS[s] }));
  legend.push(text(WIDTH - 8, 16, title, { anchor: "end" }));
  const size = `width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}"`;
  const font = `font-family="sans-serif" font-size="11"`;
  const head = `<svg xmlns="http://www.w3.org/2000/svg" ${size} ${font}>`;
  return [head, ...grid, ...legend, ...bars, "</svg>", ""].filter(Boolean).join("\n");

  function bar(value: number, y: number, s: number): string {
    const [from, to] = [x(1), x(value)].sort((a, b) => a - b);
    const size = `x="${from}" y="${y}" width="${to - from}" height="${BAR - 2}"`;
    const label = text(to + 5, y + BAR - 3, times(value));
    return `<rect fill="${COLORS[s]}" ${size}/>\n${label}`;
  }
}

export function times(ratio: number): string {
  return `${ratio < 1 ? ratio.toPrecision(2) : ratio.toPrecision(3)}x`;
}

function text(x: number, y: number, content: string, { anchor = "start", color = GREY } = {}) {
  return `<text x="${x}" y="${y}" text-anchor="${anchor}" fill="${color}">${content}</text>`;
}
