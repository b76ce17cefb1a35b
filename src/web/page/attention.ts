// Where each head of each layer looks: all maps small, one large.

import type { TokenizedText } from "../protocol.ts";
import { type Ramp, ramp } from "./colormap.ts";
import { onThemeChange } from "./colors.ts";
import { element } from "./element.ts";
import { HeatMap, type Picture, paint } from "./heatmap.ts";
import { shown } from "./tokens.ts";

/** The weights of all heads: (layers, heads, T, T). */
interface Maps {
  weights: Float32Array;
  layers: number;
  heads: number;
  tokens: TokenizedText["tokens"];
}

export class Attention {
  readonly element: HTMLElement;
  readonly #grid = element("div", { class: "heads" });
  readonly #title = element("h3");
  readonly #large: HeatMap;
  readonly #pointed: (row: number | null) => void;
  #maps: Maps | null = null;
  #chosen = 0; // of all heads, layer after layer
  #colours: Ramp = ramp("--sunk", "--blue", "--ink");

  /** `pointed` is told whose row of the large map one points at, null: none; also of a new map. */
  constructor(pointed: (row: number | null) => void) {
    this.#pointed = pointed;
    this.#large = new HeatMap("Point at the map: who looks at whom", (at) => pointed(at && at[0]));
    this.element = element(
      "div",
      { class: "attention" },
      element("div", { class: "scroll" }, this.#grid),
      element("div", { class: "large" }, this.#title, this.#large.element, legend()),
    );
    onThemeChange(() => {
      this.#colours = ramp("--sunk", "--blue", "--ink");
      this.#paint();
      this.#large.paint(this.#colours);
    });
  }

  show(maps: Maps): void {
    const isSame = this.#maps?.layers === maps.layers && this.#maps.heads === maps.heads;
    this.#maps = maps;
    if (!isSame) this.#build();
    this.#paint();
    this.#enlarge(isSame ? this.#chosen : 0);
  }

  /** How much the large map's head lets a token look at each. */
  rowOf(position: number): Float32Array {
    const T = this.#maps?.tokens.length ?? 0;
    return this.#weightsOf(this.#chosen).subarray(position * T, (position + 1) * T);
  }

  #weightsOf(index: number): Float32Array {
    const T = this.#maps?.tokens.length ?? 0;
    return (this.#maps?.weights ?? new Float32Array()).subarray(index * T * T, (index + 1) * T * T);
  }

  #build(): void {
    const { layers, heads } = this.#maps as Maps;
    this.#grid.style.setProperty("--heads", String(heads));
    const cells: Node[] = [element("span")];
    for (let head = 0; head < heads; head++)
      cells.push(element("span", { class: "soft small" }, `head ${head + 1}`));
    for (let layer = 0; layer < layers; layer++) {
      cells.push(element("span", { class: "soft small" }, `layer ${layer + 1}`));
      for (let head = 0; head < heads; head++)
        cells.push(
          element(
            "button",
            {
              type: "button",
              "aria-label": nameOf(layer, head),
              title: nameOf(layer, head),
              onclick: () => this.#enlarge(layer * heads + head),
            },
            element("canvas"),
          ),
        );
    }
    this.#grid.replaceChildren(...cells);
  }

  #picture(index: number): Omit<Picture, "describe"> {
    const { length } = (this.#maps as Maps).tokens;
    return {
      values: this.#weightsOf(index),
      rows: length,
      columns: length,
      ramp: this.#colours,
      level: Math.sqrt, // most weights are small: a linear ramp would show but few
      isBlank: (row, column) => column > row,
    };
  }

  #paint(): void {
    if (!this.#maps) return;
    for (const [i, canvas] of this.#grid.querySelectorAll("canvas").entries())
      paint(canvas, this.#picture(i));
  }

  #enlarge(index: number): void {
    const { heads, tokens } = this.#maps as Maps;
    this.#chosen = index;
    for (const [i, button] of this.#grid.querySelectorAll("button").entries())
      button.ariaPressed = String(i === index);
    const name = nameOf(Math.floor(index / heads), index % heads);
    this.#title.textContent = name;
    const texts = tokens.map(({ text, id }) => shown(text, id));
    const at = (position: number) => `“${texts[position]}” (${position})`;
    this.#large.show(
      {
        ...this.#picture(index),
        labels: { rows: texts, columns: texts },
        describe: (query, key, weight) =>
          key > query
            ? `${at(query)} cannot see ${at(key)}, which comes later`
            : `${at(query)} looks at ${at(key)}: ${weight.toFixed(4)}`,
      },
      `attention of ${name}`,
    );
    this.#pointed(null);
  }
}

function nameOf(layer: number, head: number): string {
  return `layer ${layer + 1}, head ${head + 1}`;
}

function legend(): HTMLElement {
  const scale = ["0", "0.25", "1"].map((text) => element("span", {}, text));
  return element(
    "div",
    { class: "legend small soft" },
    element("div", { class: "colours attention-colours" }),
    element("div", { class: "scale" }, ...scale),
    "A row is a token that looks, a column one that it looks at.",
  );
}
