// Controls of the view of autograd: buttons that step, and a choice of few.

import { element, svgElement } from "./element.ts";

/** Buttons to step with, and where they have led. */
export function stepButtons(actions: Record<"first" | "back" | "forward" | "run", () => void>) {
  const button = (label: string, sign: string, onclick: () => void) =>
    element("button", { type: "button", "aria-label": label, title: label, onclick }, icon(sign));
  const first = button("first step", "M2 2h2v8H2z M11 2v8L4.5 6z", actions.first);
  const back = button("step back", "M9.5 1.5v9L2 6z", actions.back);
  const forward = button("step forward", "M2.5 1.5v9L10 6z", actions.forward);
  const run = element("button", { type: "button", class: "main", onclick: actions.run }, "Run");
  const place = element("output", { class: "soft" });
  return {
    root: element("div", { class: "row step-buttons" }, first, back, forward, run, place),
    show(at: number, last: number, isRunning: boolean): void {
      // not `disabled`: a button at its end keeps the focus, and the keys with it
      for (const each of [first, back]) each.ariaDisabled = String(at === 0);
      forward.ariaDisabled = String(at === last);
      run.textContent = isRunning ? "Pause" : "Run";
      place.textContent = `step ${at} of ${last}`;
    },
  };
}

function icon(path: string): SVGSVGElement {
  const size = { width: 12, height: 12, viewBox: "0 0 12 12", "aria-hidden": "true" };
  return svgElement("svg", size, svgElement("path", { d: path }));
}

/** A choice of few, side by side. `chosen` is told of another one. */
export function choice(
  label: string,
  names: Record<string, string>,
  start: string,
  chosen: () => void,
): { root: HTMLElement; value: string } {
  const group = {
    value: start,
    root: element(
      "fieldset",
      { class: "segments", "aria-label": label },
      ...Object.entries(names).map(([value, name]) => {
        const onchange = () => {
          group.value = value;
          chosen();
        };
        const field = { type: "radio", name: label, value, checked: value === start, onchange };
        return element("label", {}, element("input", field), name);
      }),
    ),
  };
  return group;
}
