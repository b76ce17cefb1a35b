// The numbers beside a chart: of each run and curve that under the cursor, or the last.

import type { Curve, Figure, Shown, View } from "./chart-specs.ts";
import { element } from "./element.ts";

/** A short line in a curve's style, beside its name. */
function sample({ style: { width, dash, dots, share = 1 }, alone }: Curve): HTMLElement {
  const mark = element("span", { class: "sample", "aria-hidden": "true" });
  mark.style.opacity = String(share);
  mark.style.borderTop = `${width}px ${dash ? "dashed" : "solid"}`;
  if (dots) mark.append(element("i", { class: dots }));
  if (alone) mark.dataset.alone = alone;
  return mark;
}

export class Legend {
  readonly root = element("div", { class: "readout" });
  readonly #figure: Figure;
  #cells: { cell: HTMLElement; curve: Curve; run: Shown }[] = [];

  constructor(figure: Figure) {
    this.#figure = figure;
  }

  /** A row for each run; where there are several curves, with their names, to hide them by. */
  show(runs: readonly Shown[], view: View, changed: () => void): void {
    const { curves } = this.#figure;
    this.#cells = runs.flatMap((run) =>
      curves.map((curve) => ({ cell: element("td", { class: "number" }, "–"), curve, run })),
    );
    const rows = runs.map((run) => {
      const name = element("th", { scope: "row" }, swatch(run.color), run.info.name);
      const cells = this.#cells.filter((each) => each.run === run).map(({ cell }) => cell);
      return element("tr", {}, name, ...cells);
    });
    const heads = curves.map((curve) => element("th", { scope: "col" }, toggle(curve)));
    const head = element("tr", {}, element("td"), ...heads);
    const color = runs.length === 1 ? runs[0].color : "--soft";
    for (const mark of head.querySelectorAll<HTMLElement>(".sample"))
      mark.style.color = `var(${(runs.length === 1 && mark.dataset.alone) || color})`;
    this.root.replaceChildren(element("table", {}, ...(curves.length > 1 ? [head] : []), ...rows));

    function toggle(curve: Curve): HTMLElement {
      const box = element("input", { type: "checkbox", checked: !view.hidden.has(curve) });
      box.addEventListener("change", () => {
        if (box.checked) view.hidden.delete(curve);
        else view.hidden.add(curve);
        changed();
      });
      return element("label", { class: "toggle" }, box, sample(curve), curve.name);
    }
  }

  /** `at` is an x; null asks for the last values. */
  update(view: View, at: number | null): void {
    for (const { cell, curve, run } of this.#cells) {
      const value = valueAt(curve, run, view, at);
      cell.textContent = Number.isFinite(value) ? this.#figure.format(value) : "–";
    }
  }
}

/** The value at the place nearest to x; NaN beyond the ends of a run. */
function valueAt(curve: Curve, run: Shown, view: View, at: number | null): number {
  const data = curve.data(run, view);
  if (!data || data.x.length === 0) return Number.NaN;
  const { x, y, factor = 1 } = data;
  if (at === null) return y.last() * factor;
  const room = 0.02 * (x.last() - x.values[0]);
  if (at < x.values[0] - room || at > x.last() + room) return Number.NaN;
  return y.values[x.nearest(at)] * factor;
}

/** A dot in a run's colour. */
export function swatch(color: string): HTMLElement {
  return element("span", { class: "dot", style: `background: var(${color})` });
}
