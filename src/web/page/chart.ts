// A chart: lines over a shared x axis, drawn by uPlot, at most once a frame. What is under the
// cursor is told to whoever shows numbers, and to the charts beside it.

import uPlot from "uplot";
import { logTicks, secondSteps, wholeSteps, yRange } from "./axis.ts";
import { onThemeChange, paint } from "./colors.ts";
import { placesOf, type Range, thin } from "./downsample.ts";
import { duration, integer, short } from "./format.ts";
import type { Numbers } from "./series.ts";

export interface Line {
  x: Numbers;
  y: Numbers;
  /** y is drawn times this. */
  factor?: number;
  /** A CSS variable. */
  color: string;
  /** Its opacity. */
  share?: number;
  width: number;
  dash?: number[];
  /** Marks at its points, where there is room for them. */
  dots?: "full" | "hollow";
}

export interface ChartOptions {
  isLog?: boolean;
  /** y begins at 0. */
  fromZero?: boolean;
  /** x is seconds; else it is whole steps. */
  isTime?: boolean;
}

/** What a chart tells: the x under the cursor, and a range of x that was chosen; null is none. */
export interface ChartHooks {
  pointed(x: number | null): void;
  zoomed(range: Range | null): void;
}

const AXIS = 56; // CSS pixels, whatever the numbers are, so that charts stand flush
const RIGHT = 22; // half of the last number on the x axis
const FONT = "11px system-ui, sans-serif";

export class Chart {
  readonly #root: HTMLElement;
  readonly #hooks: ChartHooks;
  #plot: uPlot | null = null;
  #lines: Line[] = [];
  #range: Range = [0, 1];
  #options: ChartOptions = {};
  #kind = "";
  #drawn: unknown[] = []; // what is to be seen, so that nothing is drawn twice
  #isTold = false;

  /** Fills `root`, whose height is set by its style. */
  constructor(root: HTMLElement, hooks: ChartHooks) {
    this.#root = root;
    this.#hooks = hooks;
    root.tabIndex = 0;
    root.addEventListener("dblclick", () => hooks.zoomed(null));
    root.addEventListener("keydown", (event) => this.#onKey(event));
    root.addEventListener("blur", () => this.#plot?.setCursor({ left: -10, top: -10 }));
    new ResizeObserver(() => this.#draw()).observe(root);
    onThemeChange(() => this.#plot?.redraw(false));
  }

  draw(lines: Line[], range: Range, options: ChartOptions): void {
    const styles = lines.map(({ x: _, y: __, ...style }) => style);
    const kind = JSON.stringify([styles, options.isLog, options.fromZero]);
    const states = lines.flatMap(({ x, y }) => [x, x.changes, y, y.changes, y.length]);
    const drawn = [kind, options.isTime, ...range, ...states];
    if (drawn.every((each, i) => each === this.#drawn[i])) return;
    this.#drawn = drawn;
    this.#lines = lines;
    this.#range = range;
    this.#options = options;
    if (kind !== this.#kind) {
      this.#plot?.destroy();
      this.#plot = null;
    }
    this.#kind = kind;
    this.#draw();
  }

  /** Puts the cursor at an x, without telling so. */
  point(x: number | null): void {
    if (!this.#plot) return;
    this.#isTold = true;
    const left = x === null ? -10 : this.#plot.valToPos(x, "x");
    this.#plot.setCursor({ left, top: x === null ? -10 : 0 });
    this.#isTold = false;
  }

  #draw(): void {
    const { clientWidth: width, clientHeight: height } = this.#root;
    if (width === 0 || this.#lines.length === 0) return;
    this.#plot ??= new uPlot(this.#plotOptions(width, height), undefined, this.#root);
    if (width !== this.#plot.width || height !== this.#plot.height)
      this.#plot.setSize({ width, height });
    const count = Math.max(1, Math.round((width - AXIS - RIGHT) * devicePixelRatio));
    const ys = this.#lines.map(({ x, y, factor = 1 }) => {
      const values = thin(x, y, this.#range, count);
      if (factor === 1 && !this.#options.isLog) return values;
      const isDrawn = (value: number) => !this.#options.isLog || value > 0;
      return values.map((value) => (value !== null && isDrawn(value) ? value * factor : null));
    });
    this.#plot.setData([placesOf(this.#range, count), ...ys]);
  }

  #plotOptions(width: number, height: number): uPlot.Options {
    const { isLog = false, fromZero = false } = this.#options;
    const axis = {
      stroke: () => paint("--soft"),
      font: FONT,
      grid: { stroke: () => paint("--line"), width: 1 },
      ticks: { show: false },
    };
    return {
      width,
      height,
      padding: [8, RIGHT, 0, 0],
      legend: { show: false },
      cursor: {
        y: false,
        drag: { x: true, y: false, setScale: false },
        hover: { skip: [null, undefined], prox: 24 },
        points: { size: 7, width: 0 },
      },
      scales: {
        x: { time: false, range: () => [...this.#range] },
        y: {
          distr: isLog ? 3 : 1,
          range: (_, low, high) => yRange(low, high, isLog, fromZero),
        },
      },
      axes: [
        {
          ...axis,
          size: 24,
          incrs: () => (this.#options.isTime ? secondSteps : wholeSteps),
          values: (_, xs) => xs.map(this.#options.isTime ? duration : integer),
        },
        {
          ...axis,
          size: AXIS,
          space: 28,
          values: (_, ys) => ys.map((y) => (y === null ? "" : short(y))),
          ...(isLog && {
            splits: (_, __, low, high) => logTicks(low, high),
            filter: (_, ys) => ys,
          }),
        },
      ],
      series: [{}, ...this.#lines.map(seriesOf)],
      hooks: {
        setCursor: [() => this.#onCursor()],
        setSelect: [() => this.#onSelect()],
      },
    };
  }

  #onCursor(): void {
    const plot = this.#plot;
    if (!plot || this.#isTold) return;
    const { left = -1 } = plot.cursor;
    this.#hooks.pointed(left < 0 ? null : plot.posToVal(left, "x"));
  }

  #onSelect(): void {
    const plot = this.#plot as uPlot;
    const { left, width } = plot.select;
    if (width < 4) return;
    this.#hooks.zoomed([plot.posToVal(left, "x"), plot.posToVal(left + width, "x")]);
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  }

  /** Arrows move the cursor, + and - zoom around it, Escape shows all. */
  #onKey(event: KeyboardEvent): void {
    const plot = this.#plot;
    if (!plot || event.ctrlKey || event.metaKey || event.altKey) return;
    const width = plot.over.clientWidth;
    const { left = -1 } = plot.cursor;
    const from = left < 0 ? width / 2 : left;
    const [low, high] = this.#range;
    const center = plot.posToVal(from, "x");
    const zoom = (by: number): Range => [
      center - (center - low) * by,
      center + (high - center) * by,
    ];
    const move = (to: number) => plot.setCursor({ left: Math.min(width, Math.max(0, to)), top: 0 });
    const step = event.shiftKey ? width / 10 : Math.max(1, width / 100);
    if (event.key === "ArrowLeft") move(from - step);
    else if (event.key === "ArrowRight") move(from + step);
    else if (event.key === "Home") move(0);
    else if (event.key === "End") move(width);
    else if (event.key === "+" || event.key === "=") this.#hooks.zoomed(zoom(1 / 2));
    else if (event.key === "-") this.#hooks.zoomed(zoom(2));
    else if (event.key === "Escape") this.#hooks.zoomed(null);
    else return;
    event.preventDefault();
  }
}

function seriesOf({ color, share, width, dash, dots }: Line): uPlot.Series {
  const stroke = () => paint(color);
  return {
    stroke,
    alpha: share,
    width,
    dash,
    spanGaps: true,
    points: {
      show: dots !== undefined,
      size: 6,
      width: 1.5,
      stroke,
      fill: () => paint(dots === "hollow" ? "--card" : color),
      filter: marks,
    },
  };
}

/** Where marks stand: at points, not where a line leaves the picture; none if too close. */
function marks(plot: uPlot, i: number): number[] {
  const values = plot.data[i];
  const places = [];
  for (let at = 1; at < values.length - 1; at++) if (values[at] !== null) places.push(at);
  return places.length * 10 > plot.over.clientWidth ? [] : places;
}
