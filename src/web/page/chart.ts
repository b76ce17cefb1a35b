// A line chart with a shared x axis, drawn by uPlot at most once per frame. It reports cursor
// movements and zoom selections, which other charts and the legends follow.

import uPlot from "uplot";
import { logTicks, stepSpacings, timeSpacings, yRange } from "./axis.ts";
import { cssColor, onThemeChange } from "./colors.ts";
import type { Column } from "./column.ts";
import { downsample, getSampleXs, type Range } from "./downsample.ts";
import { formatDuration, formatInteger, formatShort } from "./format.ts";
import { MAX_VALUE } from "./series.ts";

export interface Line {
  x: Column;
  y: Column;
  /** A factor that y is multiplied by. */
  scale?: number;
  /** A CSS variable. */
  color: string;
  opacity?: number;
  width: number;
  dash?: number[];
  /** Draws a marker at each point, unless they would be too close. */
  markers?: "filled" | "hollow";
}

export interface ChartOptions {
  isLog?: boolean;
  /** Starts the y axis at 0. */
  fromZero?: boolean;
  /** Formats x as seconds instead of steps. */
  isTime?: boolean;
}

export interface ChartCallbacks {
  /** Receives the x value under the cursor, or null if the cursor has left the chart. */
  onCursor(x: number | null): void;
  /** Receives a selected range of x, or null to reset the zoom. */
  onZoom(range: Range | null): void;
}

const AXIS_WIDTH = 56; // CSS pixels, constant so that the plots of all charts are aligned
const RIGHT_PADDING = 22; // half the width of the last label on the x axis
const FONT = "11px system-ui, sans-serif";
const OUTSIDE = -10; // a cursor position that hides the cursor

export class Chart {
  readonly #root: HTMLElement;
  readonly #callbacks: ChartCallbacks;
  #plot: uPlot | null = null;
  #lines: Line[] = [];
  #range: Range = [0, 1];
  #options: ChartOptions = {};
  /** The properties that are fixed when a uPlot is created. */
  #layout = "";
  /** Everything that the current drawing depends on, to skip redundant draws. */
  #drawnState: unknown[] = [];
  /** True while setCursor() runs, which must not call onCursor(). */
  #isSyncing = false;

  /** Fills `root`, whose size is set by its style. */
  constructor(root: HTMLElement, callbacks: ChartCallbacks) {
    this.#root = root;
    this.#callbacks = callbacks;
    root.tabIndex = 0;
    root.addEventListener("dblclick", () => callbacks.onZoom(null));
    root.addEventListener("keydown", (event) => this.#onKey(event));
    root.addEventListener("blur", () => this.#plot?.setCursor({ left: OUTSIDE, top: OUTSIDE }));
    new ResizeObserver(() => this.#draw()).observe(root);
    onThemeChange(() => this.#plot?.redraw(false));
  }

  draw(lines: Line[], range: Range, options: ChartOptions): void {
    const styles = lines.map(({ x: _, y: __, ...style }) => style);
    const layout = JSON.stringify([styles, options.isLog, options.fromZero]);
    const data = lines.flatMap(({ x, y }) => [x, x.version, y, y.version, y.length]);
    const state = [layout, options.isTime, ...range, ...data];
    if (state.every((value, i) => value === this.#drawnState[i])) return;
    this.#drawnState = state;
    this.#lines = lines;
    this.#range = range;
    this.#options = options;
    if (layout !== this.#layout) {
      this.#plot?.destroy();
      this.#plot = null;
    }
    this.#layout = layout;
    this.#draw();
  }

  /** Moves the cursor to an x value without calling onCursor(). Null hides it. */
  setCursor(x: number | null): void {
    if (!this.#plot) return;
    this.#isSyncing = true;
    if (x === null) this.#plot.setCursor({ left: OUTSIDE, top: OUTSIDE });
    else this.#plot.setCursor({ left: this.#plot.valToPos(x, "x"), top: 0 });
    this.#isSyncing = false;
  }

  #draw(): void {
    const { clientWidth: width, clientHeight: height } = this.#root;
    if (width === 0 || this.#lines.length === 0) return;
    this.#plot ??= new uPlot(this.#getPlotOptions(width, height), undefined, this.#root);
    if (width !== this.#plot.width || height !== this.#plot.height)
      this.#plot.setSize({ width, height });
    const pixels = Math.round((width - AXIS_WIDTH - RIGHT_PADDING) * devicePixelRatio);
    const count = Math.max(1, pixels);
    const ys = this.#lines.map((line) => this.#getYs(line, count));
    this.#plot.setData([getSampleXs(this.#range, count), ...ys]);
  }

  #getYs({ x, y, scale = 1 }: Line, count: number): (number | null)[] {
    const { isLog = false } = this.#options;
    const values = downsample(x, y, this.#range, count);
    if (scale === 1 && !isLog) return values;
    return values.map((value) => {
      const scaled = (value ?? Number.NaN) * scale;
      const isShown = Math.abs(scaled) <= MAX_VALUE && !(isLog && scaled < 1 / MAX_VALUE);
      return isShown ? scaled : null;
    });
  }

  #getPlotOptions(width: number, height: number): uPlot.Options {
    const { isLog = false, fromZero = false } = this.#options;
    const axis = {
      stroke: () => cssColor("--soft"),
      font: FONT,
      grid: { stroke: () => cssColor("--line"), width: 1 },
      ticks: { show: false },
    };
    const xAxis: uPlot.Axis = {
      ...axis,
      size: 24,
      incrs: () => (this.#options.isTime ? timeSpacings : stepSpacings),
      values: (_, xs) => xs.map(this.#options.isTime ? formatDuration : formatInteger),
    };
    const yAxis: uPlot.Axis = {
      ...axis,
      size: AXIS_WIDTH,
      space: 28,
      values: (_, ys) => ys.map((y) => (y === null ? "" : formatShort(y))),
    };
    if (isLog) {
      yAxis.splits = (_, __, low, high) => logTicks(low, high);
      yAxis.filter = (_, ys) => ys; // label every tick
    }
    return {
      width,
      height,
      padding: [8, RIGHT_PADDING, 0, 0],
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
      axes: [xAxis, yAxis],
      series: [{}, ...this.#lines.map(toPlotSeries)],
      hooks: {
        setCursor: [() => this.#onCursor()],
        setSelect: [() => this.#onSelect()],
      },
    };
  }

  #onCursor(): void {
    const plot = this.#plot;
    if (!plot || this.#isSyncing) return;
    const { left = -1 } = plot.cursor;
    this.#callbacks.onCursor(left < 0 ? null : plot.posToVal(left, "x"));
  }

  #onSelect(): void {
    const plot = this.#plot as uPlot;
    const { left, width } = plot.select;
    if (width < 4) return; // a click, not a drag
    this.#callbacks.onZoom([plot.posToVal(left, "x"), plot.posToVal(left + width, "x")]);
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  }

  /** Handles keys: arrows move the cursor, + and - zoom around it, Escape resets the zoom. */
  #onKey(event: KeyboardEvent): void {
    const plot = this.#plot;
    if (!plot || event.ctrlKey || event.metaKey || event.altKey) return;
    const width = plot.over.clientWidth;
    const { left = -1 } = plot.cursor;
    const position = left < 0 ? width / 2 : left;
    const [low, high] = this.#range;
    const center = plot.posToVal(position, "x");
    const zoom = (factor: number) =>
      this.#callbacks.onZoom([center - (center - low) * factor, center + (high - center) * factor]);
    const move = (to: number) => plot.setCursor({ left: Math.min(width, Math.max(0, to)), top: 0 });
    const step = event.shiftKey ? width / 10 : Math.max(1, width / 100);
    if (event.key === "ArrowLeft") move(position - step);
    else if (event.key === "ArrowRight") move(position + step);
    else if (event.key === "Home") move(0);
    else if (event.key === "End") move(width);
    else if (event.key === "+" || event.key === "=") zoom(1 / 2);
    else if (event.key === "-") zoom(2);
    else if (event.key === "Escape") this.#callbacks.onZoom(null);
    else return;
    event.preventDefault();
  }
}

function toPlotSeries({ color, opacity, width, dash, markers }: Line): uPlot.Series {
  const stroke = () => cssColor(color);
  return {
    stroke,
    alpha: opacity,
    width,
    dash,
    spanGaps: true,
    points: {
      show: markers !== undefined,
      size: 6,
      width: 1.5,
      stroke,
      fill: () => cssColor(markers === "hollow" ? "--card" : color),
      filter: getMarkerIndices,
    },
  };
}

/**
 * Returns the indices of the points with markers: all points, but not the interpolated values at
 * the edges of the plot. Returns none if markers would be less than 10 pixels apart.
 */
function getMarkerIndices(plot: uPlot, seriesIndex: number): number[] {
  const values = plot.data[seriesIndex];
  const indices = [];
  for (let i = 1; i < values.length - 1; i++) {
    if (values[i] !== null) indices.push(i);
  }
  return indices.length * 10 > plot.over.clientWidth ? [] : indices;
}
