// All charts of the selected runs. They share the range of x and the cursor.

import { Chart, type Line } from "./chart.ts";
import { type ChartSpec, chartSpecs, type DisplayedRun, type ViewSettings } from "./chart-specs.ts";
import type { Range } from "./downsample.ts";
import { element } from "./element.ts";
import { formatDuration, formatInteger } from "./format.ts";
import { oncePerFrame } from "./frame.ts";
import { Legend } from "./legend.ts";

interface ChartPanel {
  spec: ChartSpec;
  chart: Chart;
  legend: Legend;
  plot: HTMLElement;
  /** The message that replaces a plot without data. */
  message: HTMLElement;
}

export class Charts {
  readonly root = element("div", { class: "charts" });
  /** Draws what has changed in the next frame. */
  readonly redraw = oncePerFrame(() => this.#draw());
  readonly #settings: ViewSettings;
  readonly #panels: ChartPanel[];
  /** The position of the cursor, or the number of logged steps. */
  readonly #position = element("output", { class: "position soft" });
  #runs: readonly DisplayedRun[] = [];
  #cursor: number | null = null;

  /** Zooming in a chart changes `settings.range` and calls `onZoom`. */
  constructor(settings: ViewSettings, onZoom: () => void) {
    this.#settings = settings;
    this.#panels = chartSpecs.map((spec, i) => this.#createPanel(spec, i === 0, onZoom));
  }

  show(runs: readonly DisplayedRun[]): void {
    this.#runs = runs;
    for (const { legend } of this.#panels) legend.show(runs, this.#settings, this.redraw);
    this.redraw();
  }

  #createPanel(spec: ChartSpec, isFirst: boolean, onZoom: () => void): ChartPanel {
    const keys = "arrow keys move the cursor, + and - zoom, Escape resets the zoom";
    const plot = element("div", {
      class: "plot",
      role: "group",
      "aria-label": `${spec.name}: ${keys}`,
    });
    const message = element("p", { class: "no-data soft", hidden: true });
    const legend = new Legend(spec);
    const chart = new Chart(plot, {
      onCursor: (x) => {
        this.#cursor = x;
        for (const panel of this.#panels) {
          if (panel.chart !== chart) panel.chart.setCursor(x);
        }
        this.#updateLegends();
      },
      onZoom: (range) => {
        this.#settings.range = range && this.#clampRange(range);
        onZoom();
        this.redraw();
      },
    });
    const head = element("div", { class: "head" }, element("h3", {}, spec.name));
    if (isFirst) head.append(this.#position);
    head.append(legend.root);
    const className = isFirst ? "card large" : "card";
    this.root.append(element("figure", { class: className }, head, plot, message));
    return { spec, chart, legend, plot, message };
  }

  #draw(): void {
    for (const panel of this.#panels) this.#drawPanel(panel);
    this.#updateLegends();
  }

  #drawPanel({ spec, chart, plot, message }: ChartPanel): void {
    const settings = this.#settings;
    const lines = this.#getLines(spec);
    const runWithoutData = this.#runs.find((run) => !spec.curves[0].getPoints(run, settings));
    const explanation = runWithoutData && spec.explainMissing?.(runWithoutData.info);
    const hasMessage = lines.length === 0 && explanation !== undefined;
    message.hidden = !hasMessage;
    plot.hidden = hasMessage;
    message.textContent = explanation ?? "";
    chart.draw(lines, settings.range ?? this.#getFullRange(), {
      fromZero: spec.fromZero,
      isTime: settings.x === "elapsedSeconds",
      isLog: settings.isLog && spec === chartSpecs[0],
    });
  }

  /** Returns the visible curves of all runs. */
  #getLines({ curves }: ChartSpec): Line[] {
    const isSingleRun = this.#runs.length === 1;
    const lines: Line[] = [];
    for (const curve of curves) {
      if (this.#settings.hidden.has(curve)) continue;
      for (const run of this.#runs) {
        const points = curve.getPoints(run, this.#settings);
        const color = (isSingleRun && curve.singleRunColor) || run.color;
        if (points) lines.push({ ...curve.style, ...points, color });
      }
    }
    return lines;
  }

  /** Limits a range to the part with data. Returns null if that is the full range. */
  #clampRange([low, high]: Range): Range | null {
    const [first, last] = this.#getFullRange();
    const begin = Math.max(low, first);
    const end = Math.min(high, last);
    return begin < end && (begin > first || end < last) ? [begin, end] : null;
  }

  /** Returns the range of x over all runs. */
  #getFullRange(): Range {
    let low = Infinity;
    let high = -Infinity;
    for (const { series } of this.#runs)
      for (const table of [series.steps, series.evaluations]) {
        const x = table[this.#settings.x];
        if (x.length === 0) continue;
        low = Math.min(low, x.values[0]);
        high = Math.max(high, x.last());
      }
    if (low > high) return [0, 1];
    return low < high ? [low, high] : [low, low + 1];
  }

  #updateLegends = oncePerFrame(() => {
    for (const { legend } of this.#panels) legend.update(this.#settings, this.#cursor);
    this.#position.textContent = this.#describePosition();
  });

  #describePosition(): string {
    if (this.#cursor === null) {
      const count = this.#runs.reduce((sum, { series }) => sum + series.stepCount, 0);
      return `${formatInteger(count)} logged steps`;
    }
    return this.#settings.x === "step"
      ? `step ${formatInteger(this.#cursor)}`
      : `at ${formatDuration(this.#cursor)}`;
  }
}
