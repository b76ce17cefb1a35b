// The settings of the next run: presets, sliders and choices. A change takes effect when the user
// starts over, except that of the learning rate and of the number of steps.

import { activations, positionKinds } from "../../gpt/config.ts";
import { createSegments } from "../../web/page/controls.ts";
import { element } from "../../web/page/element.ts";
import { formatInteger, formatShort } from "../../web/page/format.ts";
import {
  type NumericSetting,
  presets,
  type Settings,
  sliderValues,
  toConfig,
  type tokenizers,
} from "../settings.ts";

interface Field {
  name: NumericSetting;
  label: string;
  hint: string;
}

const sizes: Field[] = [
  { name: "nLayer", label: "layers", hint: "transformer blocks, one after the other" },
  { name: "nHead", label: "heads", hint: "attention heads in each layer" },
  { name: "nEmbd", label: "width", hint: "numbers that represent a token" },
  { name: "blockSize", label: "context", hint: "tokens that the model can look back on" },
];

const training: Field[] = [
  { name: "batchSize", label: "batch", hint: "sequences in each step" },
  { name: "learningRate", label: "learning rate", hint: "size of a step; takes effect at once" },
  { name: "maxIters", label: "steps", hint: "length of the training; takes effect at once" },
  { name: "dropout", label: "dropout", hint: "activations that are dropped, against memorizing" },
];

const rare: Field[] = [
  { name: "weightDecay", label: "weight decay", hint: "pull of the weights toward 0" },
];

const choices = {
  tokenizer: { char: "characters", word: "words", bpe: "BPE" },
  positions: Object.fromEntries(positionKinds.map((kind) => [kind, kind])),
  activation: Object.fromEntries(activations.map((kind) => [kind, kind])),
} satisfies Record<string, Record<string, string>>;

/** The settings that a running training takes over at once. */
export const immediate: readonly (keyof Settings)[] = ["learningRate", "maxIters"];

export class SettingsForm {
  readonly #onChange: (changed: keyof Settings) => void;
  readonly #controls = new Map<keyof Settings, { show(): void }>();
  readonly #problem = element("p", { class: "error small", role: "alert" });
  readonly #presets: HTMLElement;
  #settings: Settings;

  /** `onChange` is called when the user has changed a setting. */
  constructor(
    root: HTMLElement,
    settings: Settings,
    onChange: (changed: keyof Settings) => void,
    actions: HTMLElement,
  ) {
    this.#settings = settings;
    this.#onChange = onChange;
    const presetLabels = Object.fromEntries(Object.keys(presets).map((name) => [name, name]));
    this.#presets = createSegments("preset", presetLabels, "", (name) => this.#openPreset(name));
    const vocabSize = this.#createSlider({
      name: "vocabSize",
      label: "vocabulary",
      hint: "distinct tokens, for words and BPE",
    });
    root.append(
      this.#presets,
      element("div", { class: "fields" }, ...sizes.map((field) => this.#createSlider(field))),
      element("div", { class: "fields" }, ...training.map((field) => this.#createSlider(field))),
      element(
        "div",
        { class: "fields" },
        this.#createSelect("tokenizer", "tokens", choices.tokenizer),
        vocabSize,
      ),
      element(
        "details",
        {},
        element("summary", {}, "More"),
        element(
          "div",
          { class: "fields" },
          this.#createSelect("positions", "positions", choices.positions),
          this.#createSelect("activation", "activation", choices.activation),
          ...rare.map((field) => this.#createSlider(field)),
          this.#createSeed(),
        ),
      ),
      this.#problem,
      actions,
    );
    this.show(settings);
  }

  get settings(): Settings {
    return this.#settings;
  }

  /** Shows other settings. */
  show(settings: Settings): void {
    this.#settings = settings;
    for (const control of this.#controls.values()) control.show();
    this.#showPreset();
    this.#check();
  }

  /** The problem with the settings; empty if there is none. */
  get problem(): string {
    return this.#problem.textContent ?? "";
  }

  #openPreset(name: string): void {
    const preset: Settings = presets[name as keyof typeof presets];
    const { text, tokenizer, vocabSize } = this.#settings;
    this.show({ ...preset, text, tokenizer, vocabSize });
    this.#onChange("nLayer");
  }

  #change<K extends keyof Settings>(name: K, value: Settings[K]): void {
    this.#settings = { ...this.#settings, [name]: value };
    this.#controls.get("vocabSize")?.show();
    this.#showPreset();
    this.#check();
    this.#onChange(name);
  }

  #check(): void {
    try {
      toConfig(this.#settings);
      this.#problem.textContent = "";
    } catch (error) {
      this.#problem.textContent = (error as Error).message.replace(/^settings: /, "");
    }
  }

  /** Selects the preset that the settings are those of, if there is one. */
  #showPreset(): void {
    const { text: _, tokenizer: __, vocabSize: ___, seed: ____, ...own } = this.#settings;
    for (const radio of this.#presets.querySelectorAll("input")) {
      const preset: Settings = presets[radio.value as keyof typeof presets];
      const names = Object.keys(own) as (keyof typeof own)[];
      radio.checked = names.every((name) => preset[name] === own[name]);
    }
  }

  #createSlider({ name, label, hint }: Field): HTMLElement {
    const output = element("output");
    const input = element("input", { type: "range", min: 0, step: 1, title: hint });
    const root = element("label", { class: "field" }, element("span", {}, label), input, output);
    let values = sliderValues[name];
    input.addEventListener("input", () => this.#change(name, values[input.valueAsNumber]));
    const show = () => {
      const value = this.#settings[name];
      // a link may have selected a value between those of the slider
      values = [...new Set([...sliderValues[name], value])].sort((a, b) => a - b);
      input.max = String(values.length - 1);
      input.value = String(values.indexOf(value));
      const text = value >= 1000 ? formatInteger(value) : formatShort(value);
      output.textContent = text;
      input.ariaValueText = text;
      input.disabled = name === "vocabSize" && this.#settings.tokenizer === "char";
    };
    input.addEventListener("input", show);
    this.#controls.set(name, { show });
    return root;
  }

  #createSelect<K extends keyof typeof choices>(
    name: K,
    label: string,
    texts: Record<string, string>,
  ): HTMLElement {
    const options = Object.entries(texts).map(([value, text]) =>
      element("option", { value }, text),
    );
    const select = element("select", {}, ...options);
    select.addEventListener("change", () => this.#change(name, select.value as Settings[K]));
    this.#controls.set(name, {
      show: () => {
        select.value = this.#settings[name];
      },
    });
    return element("label", { class: "field" }, element("span", {}, label), select);
  }

  #createSeed(): HTMLElement {
    const [min, max] = sliderValues.seed;
    const input = element("input", { type: "number", min, max, step: 1, required: true });
    input.addEventListener("input", () => this.#change("seed", input.valueAsNumber));
    this.#controls.set("seed", {
      show: () => {
        input.value = String(this.#settings.seed);
      },
    });
    return element("label", { class: "field" }, element("span", {}, "seed"), input);
  }
}

/** The names of tokenizers in sentences. */
export const tokenizerNames: Record<(typeof tokenizers)[number], string> = choices.tokenizer;
