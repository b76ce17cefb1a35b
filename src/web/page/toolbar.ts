// The settings of all charts: the x axis, the scale of the loss, its smoothing, and the zoom.

import type { ViewSettings } from "./chart-specs.ts";
import { createSegments } from "./controls.ts";
import { element } from "./element.ts";

export class Toolbar {
  readonly root: HTMLElement;
  readonly #resetZoom: HTMLButtonElement;
  readonly #settings: ViewSettings;

  /** Each control changes `settings` and calls `onChange`. */
  constructor(settings: ViewSettings, onChange: () => void) {
    this.#settings = settings;
    const xAxis = labeledSegments(
      "x axis",
      { step: "steps", elapsedSeconds: "time" },
      settings.x,
      (x) => {
        settings.x = x;
        settings.range = null;
        onChange();
      },
    );
    const scale = labeledSegments("loss", { linear: "linear", log: "log" }, "linear", (value) => {
      settings.isLog = value === "log";
      onChange();
    });
    this.#resetZoom = element("button", { type: "button", disabled: true }, "Reset zoom");
    this.#resetZoom.addEventListener("click", () => {
      settings.range = null;
      onChange();
    });
    const smoothing = createSmoothingSlider(settings, onChange);
    const controls = [xAxis, scale, smoothing, this.#resetZoom];
    this.root = element("div", { class: "toolbar row" }, ...controls);
  }

  /** Enables the button that resets the zoom if the charts are zoomed. */
  update(): void {
    this.#resetZoom.disabled = this.#settings.range === null;
  }
}

/** Creates a slider v for a smoothing weight of 1 - 10^-v: 0, 0.9, 0.99, 0.999. */
function createSmoothingSlider(settings: ViewSettings, onChange: () => void): HTMLElement {
  const output = element("output", { class: "weight" });
  const slider = element("input", { type: "range", min: 0, max: 3, step: 0.05 });
  slider.value = String(-Math.log10(1 - settings.smoothing));
  const applyValue = () => {
    settings.smoothing = 1 - 10 ** -slider.valueAsNumber;
    output.textContent = settings.smoothing.toFixed(3);
  };
  slider.addEventListener("input", () => {
    applyValue();
    onChange();
  });
  applyValue();
  return element("label", {}, "smoothing", slider, output);
}

/** Creates a segmented control with its name as a visible label. */
function labeledSegments<T extends string>(
  name: string,
  labels: Record<T, string>,
  initial: NoInfer<T>,
  onChange: (value: T) => void,
): HTMLElement {
  const label = element("span", { class: "soft", "aria-hidden": "true" }, name);
  const segments = createSegments(name, labels, initial, onChange);
  return element("div", { class: "row tight" }, label, segments);
}
