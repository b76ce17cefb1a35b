// All charts of the chosen runs, over one range of x and with one cursor.

import { Chart } from "./chart.ts";
import { type Figure, figures, type Shown, type View } from "./chart-specs.ts";
import type { Range } from "./downsample.ts";
import { element } from "./element.ts";
import { duration, integer } from "./format.ts";
import { oncePerFrame } from "./frame.ts";
import { Legend } from "./legend.ts";

interface Part {
  figure: Figure;
  chart: Chart;
  legend: Legend;
  plot: HTMLElement;
  reason: HTMLElement;
}

export class Charts {
  readonly root = element("div", { class: "charts" });
  /** Draws in the next frame what has changed. */
  readonly redraw = oncePerFrame(() => this.#draw());
  readonly #view: View;
  readonly #parts: Part[];
  readonly #place = element("output", { class: "place soft" });
  #runs: readonly Shown[] = [];
  #pointed: number | null = null;

  /** `zoomed` is told when a range of x was chosen in a chart. */
  constructor(view: View, zoomed: () => void) {
    this.#view = view;
    this.#parts = figures.map((figure, i) => this.#part(figure, i === 0, zoomed));
  }

  show(runs: readonly Shown[]): void {
    this.#runs = runs;
    for (const { legend } of this.#parts) legend.show(runs, this.#view, this.redraw);
    this.redraw();
  }

  #part(figure: Figure, isFirst: boolean, zoomed: () => void): Part {
    const plot = element("div", {
      class: "plot",
      role: "group",
      "aria-label": `${figure.name}: arrow keys move the cursor, + and - zoom, Escape shows all`,
    });
    const reason = element("p", { class: "reason soft", hidden: true });
    const legend = new Legend(figure);
    const chart = new Chart(plot, {
      pointed: (x) => {
        this.#pointed = x;
        for (const part of this.#parts) if (part.chart !== chart) part.chart.point(x);
        this.#tell();
      },
      zoomed: (range) => {
        this.#view.range = range && this.#within(range);
        zoomed();
        this.redraw();
      },
    });
    const head = element("div", { class: "head" }, element("h3", {}, figure.name));
    if (isFirst) head.append(this.#place);
    head.append(legend.root);
    this.root.append(
      element("figure", { class: isFirst ? "card large" : "card" }, head, plot, reason),
    );
    return { figure, chart, legend, plot, reason };
  }

  #draw(): void {
    const view = this.#view;
    const range = view.range ?? this.#all();
    const isAlone = this.#runs.length === 1;
    const isTime = view.x === "elapsedSeconds";
    for (const { figure, chart, plot, reason } of this.#parts) {
      const { curves, fromZero } = figure;
      const lines = curves.flatMap((curve) =>
        this.#runs.flatMap((run) => {
          const data = view.hidden.has(curve) ? null : curve.data(run, view);
          const color = (isAlone && curve.alone) || run.color;
          return data ? [{ ...curve.style, ...data, color }] : [];
        }),
      );
      const why = this.#runs.find((run) => figure.reason && !curves[0].data(run, view));
      reason.hidden = lines.length > 0 || !why;
      plot.hidden = !reason.hidden;
      reason.textContent = why && figure.reason ? figure.reason(why.info) : "";
      chart.draw(lines, range, { fromZero, isTime, isLog: view.isLog && figure === figures[0] });
    }
    this.#tell();
  }

  /** That part of a range in which there is something; null if that is all. */
  #within([low, high]: Range): Range | null {
    const [first, last] = this.#all();
    const [begin, end] = [Math.max(low, first), Math.min(high, last)];
    return begin < end && (begin > first || end < last) ? [begin, end] : null;
  }

  /** From the first row of any run to the last. */
  #all(): Range {
    let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (const { series } of this.#runs)
      for (const { [this.#view.x]: x } of [series.steps, series.evaluations])
        if (x.length) [low, high] = [Math.min(low, x.values[0]), Math.max(high, x.last())];
    if (low > high) return [0, 1];
    return low < high ? [low, high] : [low, low + 1];
  }

  #tell = oncePerFrame(() => {
    const at = this.#pointed;
    for (const { legend } of this.#parts) legend.update(this.#view, at);
    const rows = this.#runs.reduce((sum, { series }) => sum + series.steps.step.length, 0);
    const place = this.#view.x === "step" ? `step ${integer(at ?? 0)}` : `at ${duration(at ?? 0)}`;
    this.#place.textContent = at === null ? `${integer(rows)} rows` : place;
  });
}
