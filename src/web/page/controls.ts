// Form controls that the views share: buttons to step through a sequence, and segmented controls.

import { element, svgElement } from "./element.ts";

interface StepActions {
  first(): void;
  back(): void;
  forward(): void;
  run(): void;
}

interface StepButtons {
  root: HTMLElement;
  /** Shows the current step of `last` steps. */
  update(current: number, last: number, isRunning: boolean): void;
}

/** Creates buttons to step through a sequence, and an output with the current step. */
export function createStepButtons(actions: StepActions): StepButtons {
  const first = iconButton("first step", "M2 2h2v8H2z M11 2v8L4.5 6z", actions.first);
  const back = iconButton("step back", "M9.5 1.5v9L2 6z", actions.back);
  const forward = iconButton("step forward", "M2.5 1.5v9L10 6z", actions.forward);
  const run = element("button", { type: "button", class: "main", onclick: actions.run }, "Run");
  const position = element("output", { class: "soft" });
  return {
    root: element("div", { class: "row step-buttons" }, first, back, forward, run, position),
    update(current, last, isRunning) {
      // aria-disabled instead of disabled: a disabled button would lose the keyboard focus
      first.ariaDisabled = String(current === 0);
      back.ariaDisabled = String(current === 0);
      forward.ariaDisabled = String(current === last);
      run.textContent = isRunning ? "Pause" : "Run";
      position.textContent = `step ${current} of ${last}`;
    },
  };
}

function iconButton(label: string, path: string, onclick: () => void): HTMLButtonElement {
  const attributes = { type: "button", "aria-label": label, title: label, onclick };
  return element("button", attributes, icon(path));
}

function icon(path: string): SVGSVGElement {
  const size = { width: 12, height: 12, viewBox: "0 0 12 12", "aria-hidden": "true" };
  return svgElement("svg", size, svgElement("path", { d: path }));
}

/**
 * Creates a segmented control: radio buttons side by side. `labels` maps each value to its text;
 * `onChange` receives the new value.
 */
export function createSegments<T extends string>(
  name: string,
  labels: Record<T, string>,
  initial: NoInfer<T>,
  onChange: (value: T) => void,
): HTMLElement {
  const radios = (Object.entries(labels) as [T, string][]).map(([value, text]) => {
    const radio = element("input", { type: "radio", name, value, checked: value === initial });
    radio.addEventListener("change", () => onChange(value));
    return element("label", {}, radio, text);
  });
  return element("fieldset", { class: "segments", "aria-label": name }, ...radios);
}
