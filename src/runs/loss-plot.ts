// loss.svg: the losses of a run over its steps. The curves are thinned as rows arrive, so that a
// plot takes little memory and time however long the run is.

import type { MetricsRow } from "./metrics.ts";

const WIDTH = 720;
const HEIGHT = 400;
const MARGIN = { left: 48, right: 16, top: 16, bottom: 36 };

/** The maximum number of intervals of a curve; the plot is 656 pixels wide. */
const MAX_INTERVALS = 1024;

interface Point {
  step: number;
  loss: number;
}

/** The points of a curve in some interval of steps: the lowest and the highest of them. */
interface Interval {
  low: Point;
  high: Point;
}

/** A curve in at most MAX_INTERVALS intervals, each of which covers equally many points. */
class Curve {
  #intervals: Interval[] = [];
  #pointsPerInterval = 1;
  #pointsInLast = 0;

  add(point: Point): void {
    const last = this.#intervals.at(-1);
    if (last && this.#pointsInLast < this.#pointsPerInterval) {
      extend(last, { low: point, high: point });
      this.#pointsInLast++;
      return;
    }
    if (this.#intervals.length === MAX_INTERVALS) this.#mergePairs();
    this.#intervals.push({ low: point, high: point });
    this.#pointsInLast = 1;
  }

  #mergePairs(): void {
    const pairs = this.#intervals.filter((_, i) => i % 2 === 0);
    for (const [i, interval] of pairs.entries()) extend(interval, this.#intervals[2 * i + 1]);
    this.#intervals = pairs;
    this.#pointsPerInterval *= 2;
  }

  /** Returns the points that represent the curve, in the order of their steps. */
  getPoints(): Point[] {
    return this.#intervals.flatMap(({ low, high }) => {
      if (low === high) return [low];
      return low.step < high.step ? [low, high] : [high, low];
    });
  }
}

function extend(interval: Interval, { low, high }: Interval): void {
  if (low.loss < interval.low.loss) interval.low = low;
  if (high.loss > interval.high.loss) interval.high = high;
}

const styles = [
  { key: "loss", name: "batch", color: "#b8c4d0", width: 1 },
  { key: "trainLoss", name: "train", color: "#1f77b4", width: 2 },
  { key: "valLoss", name: "validation", color: "#d62728", width: 2 },
] as const;

export class LossPlot {
  readonly #curves = styles.map(() => new Curve());
  #lastStep = 1;
  #low = Infinity;
  #high = -Infinity;

  add(row: MetricsRow): void {
    this.#lastStep = Math.max(this.#lastStep, row.step);
    for (const [i, { key }] of styles.entries()) {
      const loss = row[key];
      if (loss === undefined) continue;
      this.#curves[i].add({ step: row.step, loss });
      this.#low = Math.min(this.#low, loss);
      this.#high = Math.max(this.#high, loss);
    }
  }

  /** Draws the curves as SVG; returns null if there are no losses yet. */
  draw(): string | null {
    if (this.#low > this.#high) return null;
    const low = this.#low;
    const range = this.#high - low;
    const plotWidth = WIDTH - MARGIN.left - MARGIN.right;
    const plotHeight = HEIGHT - MARGIN.top - MARGIN.bottom;
    const toX = (step: number) => MARGIN.left + (step / this.#lastStep) * plotWidth;
    const toY = (loss: number) => MARGIN.top + ((this.#high - loss) / (range || 1)) * plotHeight;
    const polylines = this.#curves.map((curve, i) => {
      const { color, width } = styles[i];
      const points = curve
        .getPoints()
        .map(({ step, loss }) => `${toX(step).toFixed(1)},${toY(loss).toFixed(1)}`);
      const style = `fill="none" stroke="${color}" stroke-width="${width}"`;
      return `<polyline ${style} points="${points.join(" ")}"/>`;
    });
    const ticks = [0, 1, 2, 3, 4].flatMap((i) => {
      const loss = low + (range * i) / 4;
      const step = Math.round((this.#lastStep * i) / 4);
      return [
        `<path stroke="#ddd" d="M${MARGIN.left} ${toY(loss)}H${WIDTH - MARGIN.right}"/>`,
        label(MARGIN.left - 6, toY(loss) + 4, "end", loss.toFixed(2)),
        label(toX(step), HEIGHT - 14, "middle", String(step)),
      ];
    });
    const legend = styles.map(({ name, color }, i) =>
      label(WIDTH - MARGIN.right, MARGIN.top + 14 * (i + 1), "end", name, color),
    );
    const size = `width="${WIDTH}" height="${HEIGHT}" viewBox="0 0 ${WIDTH} ${HEIGHT}"`;
    const font = `font-family="sans-serif" font-size="12"`;
    const svg = [
      `<svg xmlns="http://www.w3.org/2000/svg" ${size} ${font}>`,
      `<rect width="100%" height="100%" fill="#fff"/>`,
      ...ticks,
      ...polylines,
      ...legend,
      "</svg>",
      "",
    ];
    return svg.join("\n");
  }
}

function label(x: number, y: number, anchor: string, text: string, color = "#555"): string {
  return `<text x="${x}" y="${y}" text-anchor="${anchor}" fill="${color}">${text}</text>`;
}
