// How the charts look at the runs: over steps or time, linear or logarithmic, how smooth, how near.

import type { View } from "./chart-specs.ts";
import { element } from "./element.ts";

export class Toolbar {
  readonly root: HTMLElement;
  readonly #all: HTMLButtonElement;
  readonly #view: View;

  /** Changes `view`, and tells so. */
  constructor(view: View, changed: () => void) {
    this.#view = view;
    const x = choice("x axis", { step: "steps", elapsedSeconds: "time" }, view.x, (name) => {
      view.x = name;
      view.range = null;
      changed();
    });
    const scale = choice<"linear" | "log">(
      "loss",
      { linear: "linear", log: "log" },
      "linear",
      (name) => {
        view.isLog = name === "log";
        changed();
      },
    );
    this.#all = element("button", { type: "button", disabled: true }, "Show all");
    this.#all.addEventListener("click", () => {
      view.range = null;
      changed();
    });
    this.root = element(
      "div",
      { class: "toolbar row" },
      x,
      scale,
      smoothing(view, changed),
      this.#all,
    );
  }

  update(): void {
    this.#all.disabled = this.#view.range === null;
  }
}

/** A weight of 1 - 10^-v: as v grows evenly, so does the number of digits 9. */
function smoothing(view: View, changed: () => void): HTMLElement {
  const output = element("output", { class: "weight" });
  const slider = element("input", { type: "range", min: 0, max: 3, step: 0.05 });
  slider.value = String(-Math.log10(1 - view.smoothing));
  const take = () => {
    view.smoothing = 1 - 10 ** -slider.valueAsNumber;
    output.textContent = view.smoothing.toFixed(3);
  };
  slider.addEventListener("input", () => {
    take();
    changed();
  });
  take();
  return element("label", {}, "smoothing", slider, output);
}

/** Radio buttons side by side. */
function choice<T extends string>(
  name: string,
  texts: Record<T, string>,
  first: T,
  chosen: (value: T) => void,
): HTMLElement {
  const buttons = (Object.entries(texts) as [T, string][]).map(([value, text]) => {
    const button = element("input", { type: "radio", name, value, checked: value === first });
    button.addEventListener("change", () => chosen(value));
    return element("label", {}, button, text);
  });
  const legend = element("legend", { class: "hidden-label" }, name);
  return element(
    "div",
    { class: "row tight" },
    element("span", { class: "soft", "aria-hidden": "true" }, name),
    element("fieldset", { class: "segments" }, legend, ...buttons),
  );
}
