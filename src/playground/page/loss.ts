// The loss curve: the loss of each batch and its moving average, the losses of evaluations, and the
// loss of guessing, with which every model begins.

import type { MetricsRow } from "../../runs/metrics.ts";
import { Chart, type Line } from "../../web/page/chart.ts";
import { Column } from "../../web/page/column.ts";
import type { Range } from "../../web/page/downsample.ts";
import { element } from "../../web/page/element.ts";
import { formatInteger } from "../../web/page/format.ts";
import { oncePerFrame } from "../../web/page/frame.ts";
import { Series } from "../../web/page/series.ts";

/** The weight of the previous value in the moving average of the loss. */
const SMOOTHING = 0.95;

interface Entry {
  root: HTMLElement;
  value: HTMLElement;
}

export class LossView {
  readonly #chart: Chart;
  readonly #series = new Series();
  readonly #guess = { x: new Column(), y: new Column() };
  readonly #entries: Record<"training" | "validation" | "guessing", Entry>;
  readonly #at = element("span", { class: "soft small" });
  readonly #draw = oncePerFrame(() => this.#drawNow());
  #guessLoss = Number.NaN;
  #cursor: number | null = null;
  #zoom: Range | null = null;

  constructor(root: HTMLElement) {
    const plot = element("div", { class: "plot", role: "img", "aria-label": "loss by step" });
    this.#entries = {
      training: createEntry("training", "--blue"),
      validation: createEntry("validation", "--orange"),
      guessing: createEntry("guessing", "--soft"),
    };
    const entries = Object.values(this.#entries).map((entry) => entry.root);
    root.append(
      element("div", { class: "row legend-row" }, ...entries, this.#at),
      plot,
      element(
        "p",
        { class: "small soft" },
        "The loss is how surprised the model is by the next token, in nats. Blue: the text that " +
          "it is trained on. Orange: text that it has never seen. When orange turns up again, " +
          "the model has begun to memorize.",
      ),
    );
    this.#chart = new Chart(plot, {
      onCursor: (x) => {
        this.#cursor = x;
        this.#showValues();
      },
      onZoom: (range) => {
        this.#zoom = range;
        this.#draw();
      },
    });
  }

  /** The moving average of the loss. */
  get smoothed(): number {
    return this.#series.smooth(SMOOTHING).last();
  }

  /** Begins a new run whose vocabulary has that many tokens. */
  start(vocabSize: number, rows: readonly MetricsRow[]): void {
    this.#series.clear();
    this.#guessLoss = Math.log(vocabSize);
    this.#zoom = null;
    this.append(rows);
  }

  append(rows: readonly MetricsRow[]): void {
    if (rows.length > 0) this.#series.append(rows);
    this.#draw();
  }

  #drawNow(): void {
    const { steps, evaluations } = this.#series;
    const last = Math.max(steps.step.last() || 0, evaluations.step.last() || 0);
    const range: Range = this.#zoom ?? [0, Math.max(10, last)];
    const { x, y } = this.#guess;
    x.length = 0;
    y.length = 0;
    for (const step of range) {
      x.push(step);
      y.push(this.#guessLoss);
    }
    const lines: Line[] = [
      { x, y, color: "--soft", width: 1, dash: [4, 4] },
      { x: steps.step, y: steps.loss, color: "--blue", width: 1, opacity: 0.28 },
      { x: steps.step, y: this.#series.smooth(SMOOTHING), color: "--blue", width: 2 },
      {
        x: evaluations.step,
        y: evaluations.valLoss,
        color: "--orange",
        width: 1.5,
        markers: "filled",
      },
    ];
    this.#chart.draw(lines, range, { fromZero: false });
    this.#showValues();
  }

  /** Shows the values at the cursor, or the latest ones. */
  #showValues(): void {
    const { steps, evaluations } = this.#series;
    const { training, validation, guessing } = this.#entries;
    const valueAt = (x: Column, y: Column) => {
      if (x.length === 0) return Number.NaN;
      return this.#cursor === null ? y.last() : y.values[x.findNearest(this.#cursor)];
    };
    training.value.textContent = format(valueAt(steps.step, this.#series.smooth(SMOOTHING)));
    validation.value.textContent = format(valueAt(evaluations.step, evaluations.valLoss));
    guessing.value.textContent = format(this.#guessLoss);
    const step = this.#cursor === null ? "" : `at step ${formatInteger(Math.max(0, this.#cursor))}`;
    this.#at.textContent = step;
  }
}

function createEntry(name: string, color: string): Entry {
  const value = element("b", {}, "–");
  const dot = element("span", { class: `dot ${color.slice(2)}` });
  return { root: element("span", { class: "entry" }, dot, name, value), value };
}

function format(loss: number): string {
  return Number.isFinite(loss) ? loss.toFixed(3) : "–";
}
