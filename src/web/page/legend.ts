// The legend of a chart: for each run and curve, the value under the cursor or the latest value.

import type { ChartSpec, Curve, DisplayedRun, ViewSettings } from "./chart-specs.ts";
import { element } from "./element.ts";

interface Cell {
  cell: HTMLElement;
  curve: Curve;
  run: DisplayedRun;
}

export class Legend {
  readonly root = element("div", { class: "readout" });
  readonly #spec: ChartSpec;
  #cells: Cell[] = [];

  constructor(spec: ChartSpec) {
    this.#spec = spec;
  }

  /**
   * Shows a row per run. A chart with several curves also has a header with their names, which hide
   * and show a curve and then call `onToggle`.
   */
  show(runs: readonly DisplayedRun[], settings: ViewSettings, onToggle: () => void): void {
    const { curves } = this.#spec;
    this.#cells = [];
    const rows = runs.map((run) => {
      const cells = curves.map((curve) => {
        const cell = element("td", { class: "number" }, "–");
        this.#cells.push({ cell, curve, run });
        return cell;
      });
      const name = element("th", { scope: "row" }, swatch(run.color), run.info.name);
      return element("tr", {}, name, ...cells);
    });
    const table = element("table");
    if (curves.length > 1) {
      const headers = curves.map((curve) => {
        const toggle = curveToggle(curve, getColor(curve, runs), settings, onToggle);
        return element("th", { scope: "col" }, toggle);
      });
      table.append(element("tr", {}, element("td"), ...headers));
    }
    table.append(...rows);
    this.root.replaceChildren(table);
  }

  /** Updates the values to those at `x`, or to the latest values if it is null. */
  update(settings: ViewSettings, x: number | null): void {
    for (const { cell, curve, run } of this.#cells) {
      const value = getValueAt(curve, run, settings, x);
      cell.textContent = Number.isFinite(value) ? this.#spec.format(value) : "–";
    }
  }
}

/** Returns a curve's CSS variable in the header, which is neutral if there are several runs. */
function getColor(curve: Curve, runs: readonly DisplayedRun[]): string {
  return runs.length === 1 ? (curve.singleRunColor ?? runs[0].color) : "--soft";
}

/** A checkbox that hides and shows a curve. */
function curveToggle(
  curve: Curve,
  color: string,
  settings: ViewSettings,
  onToggle: () => void,
): HTMLElement {
  const box = element("input", { type: "checkbox", checked: !settings.hidden.has(curve) });
  box.addEventListener("change", () => {
    if (box.checked) settings.hidden.delete(curve);
    else settings.hidden.add(curve);
    onToggle();
  });
  return element("label", { class: "toggle" }, box, lineSample(curve, color), curve.name);
}

/** A short line in a curve's style. */
function lineSample({ style }: Curve, color: string): HTMLElement {
  const { width, dash, markers, opacity = 1 } = style;
  const line = element("span", { class: "sample", "aria-hidden": "true" });
  line.style.color = `var(${color})`;
  line.style.opacity = String(opacity);
  line.style.borderTop = `${width}px ${dash ? "dashed" : "solid"}`;
  if (markers) line.append(element("i", { class: markers }));
  return line;
}

/** Returns the value nearest to x, or the latest value if x is null. NaN outside a run's range. */
function getValueAt(
  curve: Curve,
  run: DisplayedRun,
  settings: ViewSettings,
  at: number | null,
): number {
  const points = curve.getPoints(run, settings);
  if (!points || points.x.length === 0) return Number.NaN;
  const { x, y, scale = 1 } = points;
  if (at === null) return y.last() * scale;
  const first = x.values[0];
  const last = x.last();
  const tolerance = 0.02 * (last - first);
  if (at < first - tolerance || at > last + tolerance) return Number.NaN;
  return y.values[x.findNearest(at)] * scale;
}

/** A dot in a run's color. */
export function swatch(color: string): HTMLElement {
  return element("span", { class: "dot", style: `background: var(${color})` });
}
