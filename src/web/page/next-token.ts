// What may come next: the likeliest tokens as bars, and what temperature and cuts do to them.

import { element } from "./element.ts";
import { distribution, type Ranked, type Sampling } from "./sampling.ts";
import { shown } from "./tokens.ts";

const BARS = 20;
const percent = (p: number) =>
  p > 0 && p < 5e-5 ? "< 0.01 %" : `${(100 * p).toFixed(p < 0.0995 ? 2 : 1)} %`;

/** A slider with its name before it and its value behind. */
function slider(
  label: string,
  range: { min: number; max: number; step: number; value: number },
  changed: () => void,
): { label: HTMLElement; input: HTMLInputElement; tell(text: string): void } {
  const input = element("input", {
    type: "range",
    "aria-label": label,
    ...range,
    oninput: changed,
  });
  const output = element("output");
  return {
    label: element("label", {}, element("span", {}, label), input, output),
    input,
    tell(text) {
      output.textContent = text;
      input.ariaValueText = text;
    },
  };
}

/** The bar of a token: filled as it is drawn, with a mark where the model itself has it. */
function bar() {
  const [token, value] = [
    element("span", { class: "token" }),
    element("span", { class: "number" }),
  ];
  const [fill, mark] = [element("span", { class: "fill" }), element("span", { class: "mark" })];
  const track = element("span", { class: "track" }, fill, mark);
  return { item: element("li", {}, token, track, value), token, value, fill, mark };
}

export class Next {
  readonly element: HTMLElement;
  readonly #title = element("h2", {}, "Next token");
  readonly #entropy = element("output", { class: "soft" });
  readonly #bars = Array.from({ length: BARS }, bar);
  readonly #temperature;
  readonly #topK;
  readonly #topP;
  #ranked: Ranked | null = null;
  #vocabulary: string[] = [];

  constructor() {
    const draw = () => this.#draw();
    const heat = { min: 0, max: 2, step: 0.05, value: 1 };
    this.#temperature = slider("temperature", heat, draw);
    // the first few tokens matter as much as all the others: the slider is logarithmic
    this.#topK = slider("top-k", { min: 0, max: 100, step: 1, value: 100 }, draw);
    this.#topP = slider("top-p", { min: 0.01, max: 1, step: 0.01, value: 1 }, draw);
    const sliders = [this.#temperature, this.#topK, this.#topP];
    const reset = () => {
      for (const { input } of sliders) input.value = input.defaultValue;
      this.#draw();
    };
    this.element = element(
      "section",
      { class: "card next" },
      this.#title,
      element("div", { class: "sliders" }, ...sliders.map(({ label }) => label)),
      element(
        "div",
        { class: "row" },
        this.#entropy,
        element("button", { type: "button", onclick: reset }, "Reset"),
      ),
      element("ol", { class: "bars" }, ...this.#bars.map(({ item }) => item)),
      element(
        "p",
        { class: "small soft" },
        "A bar is how probably a token is drawn, its mark what the model itself gives it.",
      ),
    );
    this.#draw();
  }

  /** What the sliders say. */
  get sampling(): Sampling {
    const [temperature, k, topP] = [this.#temperature, this.#topK, this.#topP].map(({ input }) =>
      Number(input.value),
    );
    const topK = k === 100 ? Infinity : Math.round(this.#vocabulary.length ** (k / 100));
    return { temperature, topK, topP };
  }

  /** Shows what follows `token`; null where nothing is known. */
  show(ranked: Ranked | null, vocabulary: string[], token: string): void {
    this.#ranked = ranked;
    this.#vocabulary = vocabulary;
    this.#title.textContent = ranked ? `Next token after “${token}”` : "Next token";
    this.#draw();
  }

  #draw(): void {
    const { sampling } = this;
    const { temperature, topK, topP } = sampling;
    this.#temperature.tell(temperature.toFixed(2));
    this.#topK.tell(topK === Infinity ? "all" : String(topK));
    this.#topP.tell(topP.toFixed(2));
    if (!this.#ranked) {
      this.#entropy.textContent = "\u00a0";
      for (const { item } of this.#bars) item.style.visibility = "hidden";
      return;
    }
    const { ids } = this.#ranked;
    const { drawn, own, count, entropy } = distribution(this.#ranked, sampling);
    const [bits, alone] = [entropy.drawn, entropy.own].map((each) => each.toFixed(2));
    const parts = `${count} of ${ids.length}`;
    this.#entropy.textContent = `Entropy ${bits} bits (the model's own: ${alone}), ${parts} left`;
    const most = Math.max(drawn[0], own[0]);
    for (const [i, { item, token, value, fill, mark }] of this.#bars.entries()) {
      item.style.visibility = i < ids.length ? "visible" : "hidden";
      if (i >= ids.length) continue;
      const text = this.#vocabulary[ids[i]];
      item.classList.toggle("cut", i >= count);
      item.title = `${JSON.stringify(text)}: ${percent(own[i])} by the model alone`;
      token.textContent = shown(text, ids[i]);
      value.textContent = i < count ? percent(drawn[i]) : "cut";
      fill.style.width = `${(100 * (i < count ? drawn[i] : own[i])) / most}%`;
      mark.style.left = `${(100 * own[i]) / most}%`;
    }
  }
}
