// A picture of numbers with names: bars, one below the other. Apart from picture.ts, whose pictures
// have two axes.

import { COLORS, document, label, type Picture } from "./picture.ts";

export interface BarsOptions {
  title?: string;
  /** How a value is written; three digits without it. */
  format?: (value: number) => string;
  /** Bars as long as the logarithm: ten times the value is a step further. From `low` on. */
  log?: boolean;
  /** The value of an empty bar: at first 0, or with `log` half of the least value. */
  low?: number;
}

/** A bar for each value, in the order given. */
export function bars(values: Readonly<Record<string, number>>, options: BarsOptions = {}): Picture {
  const {
    title = "",
    log = false,
    format = (x: number) => String(Number(x.toPrecision(3))),
  } = options;
  const numbers = Object.values(values);
  const { low = log ? Math.min(...numbers) / 2 : 0 } = options;
  const place = log ? Math.log : (x: number) => x;
  const full = place(Math.max(...numbers)) - place(low) || 1;
  const share = (x: number) => Math.max(0, (place(x) - place(low)) / full);

  const margin = Math.max(...Object.keys(values).map((name) => [...name].length));
  const lines = Object.entries(values).map(
    ([name, x]) =>
      `${name.padStart(margin)} │${"█".repeat(Math.round(48 * share(x)))} ${format(x)}`,
  );
  const [left, step, length] = [16 + 7 * margin, 22, 380];
  const drawn = Object.entries(values).flatMap(([name, x], i) => {
    const [y, width] = [32 + step * i, (length * share(x)).toFixed(1)];
    return [
      label(left - 6, y + 12, name, "end"),
      `<rect x="${left}" y="${y}" width="${width}" height="${step - 6}" fill="${COLORS[0]}"/>`,
      label(left + length * share(x) + 6, y + 12, format(x)),
    ];
  });
  const height = 40 + step * lines.length;
  const svg = document(left + length + 80, height, [label(left, 18, title), ...drawn]);
  return { text: [...(title ? [title] : []), ...lines].join("\n"), svg };
}
