// The distribution of the next token: the most likely tokens as bars, and sliders for temperature,
// top-k and top-p.

import { element } from "./element.ts";
import { computeDistribution, type RankedLogits, type SamplingOptions } from "./sampling.ts";
import { toVisibleText } from "./tokens.ts";

const BAR_COUNT = 20;
/** The position of the top-k slider that keeps all tokens. */
const TOP_K_MAX = 100;
const NBSP = "\u00a0"; // keeps the height of an empty line

interface Slider {
  label: HTMLElement;
  input: HTMLInputElement;
  setText(text: string): void;
}

/** Creates a slider with its name on the left and its value on the right. */
function createSlider(
  name: string,
  range: { min: number; max: number; step: number; value: number },
  onInput: () => void,
): Slider {
  const input = element("input", {
    type: "range",
    "aria-label": name,
    ...range,
    oninput: onInput,
  });
  const output = element("output");
  return {
    label: element("label", {}, element("span", {}, name), input, output),
    input,
    setText(text) {
      output.textContent = text;
      input.ariaValueText = text;
    },
  };
}

interface Bar {
  item: HTMLElement;
  token: HTMLElement;
  value: HTMLElement;
  /** The filled part: the adjusted probability. */
  fill: HTMLElement;
  /** A mark at the original probability. */
  mark: HTMLElement;
}

function createBar(): Bar {
  const token = element("span", { class: "token" });
  const value = element("span", { class: "number" });
  const fill = element("span", { class: "fill" });
  const mark = element("span", { class: "mark" });
  const track = element("span", { class: "track" }, fill, mark);
  return { item: element("li", {}, token, track, value), token, value, fill, mark };
}

export class NextToken {
  readonly root: HTMLElement;
  readonly #title = element("h2", {}, "Next token");
  readonly #entropy = element("output", { class: "soft" });
  readonly #bars = Array.from({ length: BAR_COUNT }, createBar);
  readonly #temperature: Slider;
  readonly #topK: Slider;
  readonly #topP: Slider;
  #ranked: RankedLogits | null = null;
  #vocabulary: string[] = [];

  constructor() {
    const draw = () => this.#draw();
    this.#temperature = createSlider("temperature", { min: 0, max: 2, step: 0.05, value: 1 }, draw);
    this.#topK = createSlider("top-k", { min: 0, max: TOP_K_MAX, step: 1, value: TOP_K_MAX }, draw);
    this.#topP = createSlider("top-p", { min: 0.01, max: 1, step: 0.01, value: 1 }, draw);
    const sliders = [this.#temperature, this.#topK, this.#topP];
    const reset = () => {
      for (const { input } of sliders) input.value = input.defaultValue;
      this.#draw();
    };
    this.root = element(
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
        "Bar: the probability of sampling a token. Mark: its probability in the model's output.",
      ),
    );
    this.#draw();
  }

  /** The options that the sliders select. */
  get sampling(): SamplingOptions {
    const position = this.#topK.input.valueAsNumber;
    // Logarithmic, from 1 to the vocabulary size: small values of k make the largest difference.
    const exponent = position / TOP_K_MAX;
    const topK =
      position === TOP_K_MAX ? Infinity : Math.round(this.#vocabulary.length ** exponent);
    return {
      temperature: this.#temperature.input.valueAsNumber,
      topK,
      topP: this.#topP.input.valueAsNumber,
    };
  }

  /** Shows the logits after `token`. Null shows none. */
  show(ranked: RankedLogits | null, vocabulary: string[], token: string): void {
    this.#ranked = ranked;
    this.#vocabulary = vocabulary;
    this.#title.textContent = ranked ? `Next token after “${token}”` : "Next token";
    this.#draw();
  }

  #draw(): void {
    const { sampling } = this;
    const { temperature, topK, topP } = sampling;
    this.#temperature.setText(temperature.toFixed(2));
    this.#topK.setText(topK === Infinity ? "all" : String(topK));
    this.#topP.setText(topP.toFixed(2));
    if (this.#ranked) {
      this.#drawDistribution(this.#ranked, sampling);
      return;
    }
    this.#entropy.textContent = NBSP;
    for (const { item } of this.#bars) item.style.visibility = "hidden";
  }

  #drawDistribution(ranked: RankedLogits, sampling: SamplingOptions): void {
    const { ids } = ranked;
    const { adjusted, original, keptCount, entropy } = computeDistribution(ranked, sampling);
    this.#entropy.textContent =
      `Entropy ${entropy.adjusted.toFixed(2)} bits (model: ${entropy.original.toFixed(2)}), ` +
      `${keptCount} of ${ids.length} tokens kept`;
    const highest = Math.max(adjusted[0], original[0]);
    for (const [i, bar] of this.#bars.entries()) {
      const isUsed = i < ids.length;
      bar.item.style.visibility = isUsed ? "visible" : "hidden";
      if (!isUsed) continue;
      const text = this.#vocabulary[ids[i]];
      const isCut = i >= keptCount;
      bar.item.classList.toggle("cut", isCut);
      const percent = formatPercent(original[i]);
      bar.item.title = `${JSON.stringify(text)}: ${percent} in the model's output`;
      bar.token.textContent = toVisibleText(text, ids[i]);
      bar.value.textContent = isCut ? "cut" : formatPercent(adjusted[i]);
      const probability = isCut ? original[i] : adjusted[i];
      bar.fill.style.width = `${(100 * probability) / highest}%`;
      bar.mark.style.left = `${(100 * original[i]) / highest}%`;
    }
  }
}

function formatPercent(p: number): string {
  if (p > 0 && p < 5e-5) return "< 0.01%";
  return `${(100 * p).toFixed(p < 0.0995 ? 2 : 1)}%`;
}
