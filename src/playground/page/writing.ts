// The text that the model writes: the sample of this moment, in large letters, and those of earlier
// steps below it, from the first noise to the first words.

import { element } from "../../web/page/element.ts";
import { formatInteger } from "../../web/page/format.ts";
import type { SampleText, SamplingSettings } from "../protocol.ts";

/** A sample is kept when this multiple of the step of the last one that is kept is reached. */
const KEEP_FACTOR = 2;
const FIRST_KEPT = 50;
const MAX_KEPT = 12;
/** The number of characters of an earlier sample that are shown. */
const KEPT_LENGTH = 140;

export interface WritingActions {
  setSampling(settings: SamplingSettings): void;
  sample(): void;
}

export class Writing {
  readonly #actions: WritingActions;
  readonly #caption = element("p", { class: "caption soft" }, "The first words come in a moment.");
  readonly #text = element("div", {
    class: "page",
    tabindex: 0,
    role: "region",
    "aria-label": "sample",
  });
  readonly #history = element("ol", { class: "history" });
  readonly #prompt = element("input", {
    type: "text",
    maxlength: 200,
    placeholder: "anything, or nothing",
    spellcheck: "false",
    autocomplete: "off",
  });
  readonly #temperature = element("input", {
    type: "range",
    min: 0,
    max: 1.5,
    step: 0.05,
    value: 0.8,
  });
  readonly #temperatureText = element("output");
  readonly #error = element("p", { class: "error small", role: "alert" });
  readonly #legend = element("p", { class: "small soft legend", hidden: true });
  /** The lines of the training text, if it is a list. */
  #known: ReadonlySet<string> | null = null;
  #nextKept = 0;

  constructor(root: HTMLElement, actions: WritingActions) {
    this.#actions = actions;
    this.#prompt.addEventListener("input", () => this.#change());
    this.#temperature.addEventListener("input", () => this.#change());
    const onsubmit = (event: Event) => {
      event.preventDefault();
      actions.sample();
    };
    root.append(
      this.#caption,
      this.#text,
      this.#legend,
      element(
        "form",
        { class: "row sampling", onsubmit },
        element("label", { class: "grow" }, "begin with", this.#prompt),
        element("label", {}, "temperature", this.#temperature, this.#temperatureText),
        element("button", { type: "submit" }, "Write"),
      ),
      this.#error,
      element("h3", { class: "history-title" }, "How it got there"),
      this.#history,
    );
    this.#showTemperature();
  }

  get settings(): SamplingSettings {
    return {
      prompt: this.#prompt.value,
      temperature: this.#temperature.valueAsNumber,
      isLive: true,
    };
  }

  /**
   * Forgets the samples of the last run. In a list, such as that of names, lines of the new one's
   * text are shown in another color than those that the model invents.
   */
  clear(text: string | null): void {
    this.#known = text !== null && isList(text) ? new Set(text.split("\n")) : null;
    this.#legend.hidden = this.#known === null;
    this.#legend.textContent = "Gray lines are from the text. The model has invented the others.";
    this.#text.classList.toggle("list", this.#known !== null);
    this.#history.replaceChildren();
    this.#nextKept = 0;
    this.#error.textContent = "";
  }

  show(sample: SampleText): void {
    const { step, loss, prompt, text, isDone } = sample;
    const lossText = Number.isFinite(loss) ? `, loss ${loss.toFixed(2)}` : ", before training";
    this.#caption.textContent = `Step ${formatInteger(step)}${lossText}`;
    const shown = prompt ? text : text.replace(/^\n+/, "");
    if (this.#known) this.#text.replaceChildren(...this.#toLines(prompt + shown, isDone));
    else this.#text.replaceChildren(element("span", { class: "prompt" }, prompt), shown);
    this.#text.classList.toggle("writing-now", !isDone);
    if (isDone && step >= this.#nextKept) this.#keep(sample);
  }

  showError(message: string): void {
    this.#error.textContent = message;
  }

  /** The last line of a sample is incomplete, so it is neither known nor invented. */
  #toLines(text: string, isDone: boolean): HTMLElement[] {
    const lines = text.split("\n").filter((line) => line !== "");
    if (isDone && lines.length > 1) lines.pop();
    return lines.map((line) =>
      element("span", { class: this.#known?.has(line) ? "line known" : "line" }, line),
    );
  }

  #keep({ step, loss, prompt, text }: SampleText): void {
    this.#nextKept = Math.max(FIRST_KEPT, KEEP_FACTOR * step);
    const excerpt = (prompt + text).trim().replaceAll(/\s*\n\s*/g, " · ");
    const lossText = Number.isFinite(loss) ? loss.toFixed(2) : "";
    const item = element(
      "li",
      {},
      element("span", { class: "at" }, `step ${formatInteger(step)}`),
      element("span", { class: "soft" }, lossText),
      element("q", {}, excerpt.slice(0, KEPT_LENGTH)),
    );
    this.#history.prepend(item);
    while (this.#history.childElementCount > MAX_KEPT) this.#history.lastElementChild?.remove();
  }

  #change(): void {
    this.#showTemperature();
    this.#error.textContent = "";
    this.#actions.setSampling(this.settings);
  }

  #showTemperature(): void {
    const value = this.#temperature.valueAsNumber.toFixed(2);
    this.#temperatureText.textContent = value;
    this.#temperature.ariaValueText = value;
  }
}

/** Returns true for a text of short lines. */
function isList(text: string): boolean {
  const start = text.slice(0, 2000);
  return start.length / start.split("\n").length < 24;
}
