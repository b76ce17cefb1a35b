// The attention maps of all layers and heads: a grid of small maps, and the selected one enlarged.

import type { TokenizedText } from "../protocol.ts";
import { type Colormap, createColormap } from "./colormap.ts";
import { onThemeChange } from "./colors.ts";
import { element } from "./element.ts";
import { HeatMap, type Matrix, paintMatrix } from "./heatmap.ts";
import { toVisibleText } from "./tokens.ts";

interface AttentionMaps {
  /** (layers, heads, T, T): the weight of each key (column) for each query (row). */
  weights: Float32Array;
  layers: number;
  heads: number;
  tokens: TokenizedText["tokens"];
}

export class AttentionView {
  readonly root: HTMLElement;
  readonly #grid = element("div", { class: "heads" });
  readonly #title = element("h3");
  readonly #large: HeatMap;
  readonly #onPoint: (query: number | null) => void;
  #maps: AttentionMaps | null = null;
  /** The index of the enlarged map: layer * heads + head. */
  #selected = 0;
  #colormap = createAttentionColormap();

  /**
   * `onPoint` receives the query that is pointed at in the large map, or null if there is none. It
   * is also called when another map is shown.
   */
  constructor(onPoint: (query: number | null) => void) {
    this.#onPoint = onPoint;
    this.#large = new HeatMap("Point at the map to see an attention weight", (position) =>
      onPoint(position && position[0]),
    );
    this.root = element(
      "div",
      { class: "attention" },
      element("div", { class: "scroll" }, this.#grid),
      element("div", { class: "large" }, this.#title, this.#large.root, createLegend()),
    );
    onThemeChange(() => {
      this.#colormap = createAttentionColormap();
      this.#paintGrid();
      this.#large.repaint(this.#colormap);
    });
  }

  show(maps: AttentionMaps): void {
    const isSameSize = this.#maps?.layers === maps.layers && this.#maps.heads === maps.heads;
    this.#maps = maps;
    if (!isSameSize) this.#createGrid(maps);
    this.#paintGrid();
    this.#select(isSameSize ? this.#selected : 0);
  }

  /** Returns the weights of all keys for a query in the selected map. */
  getRow(query: number): Float32Array {
    const T = this.#maps?.tokens.length ?? 0;
    return this.#getMap(this.#selected).subarray(query * T, (query + 1) * T);
  }

  #getMap(index: number): Float32Array {
    if (!this.#maps) return new Float32Array();
    const T = this.#maps.tokens.length;
    return this.#maps.weights.subarray(index * T * T, (index + 1) * T * T);
  }

  #createGrid({ layers, heads }: AttentionMaps): void {
    this.#grid.style.setProperty("--heads", String(heads));
    const cells: Node[] = [element("span")];
    for (let head = 0; head < heads; head++)
      cells.push(element("span", { class: "soft small" }, `head ${head + 1}`));
    for (let layer = 0; layer < layers; layer++) {
      cells.push(element("span", { class: "soft small" }, `layer ${layer + 1}`));
      for (let head = 0; head < heads; head++) {
        const name = getName(layer, head);
        const onclick = () => this.#select(layer * heads + head);
        const attributes = { type: "button", "aria-label": name, title: name, onclick };
        cells.push(element("button", attributes, element("canvas")));
      }
    }
    this.#grid.replaceChildren(...cells);
  }

  #toMatrix(index: number): Matrix {
    const T = (this.#maps as AttentionMaps).tokens.length;
    return {
      values: this.#getMap(index),
      rows: T,
      columns: T,
      colormap: this.#colormap,
      normalize: Math.sqrt, // most weights are small and would be invisible on a linear scale
      isBlank: (query, key) => key > query, // the causal mask
    };
  }

  #paintGrid(): void {
    if (!this.#maps) return;
    for (const [i, canvas] of this.#grid.querySelectorAll("canvas").entries())
      paintMatrix(canvas, this.#toMatrix(i));
  }

  #select(index: number): void {
    const { heads, tokens } = this.#maps as AttentionMaps;
    this.#selected = index;
    for (const [i, button] of this.#grid.querySelectorAll("button").entries())
      button.ariaPressed = String(i === index);
    const name = getName(Math.floor(index / heads), index % heads);
    this.#title.textContent = name;
    const texts = tokens.map(({ text, id }) => toVisibleText(text, id));
    const describeToken = (position: number) => `“${texts[position]}” (${position})`;
    this.#large.show(
      {
        ...this.#toMatrix(index),
        labels: { rows: texts, columns: texts },
        describe: (query, key, weight) =>
          key > query
            ? `${describeToken(query)} cannot attend to ${describeToken(key)}, which comes later`
            : `${describeToken(query)} attends to ${describeToken(key)}: ${weight.toFixed(4)}`,
      },
      `attention of ${name}`,
    );
    this.#onPoint(null);
  }
}

/** The colors of `.attention-colors` in model.css. */
function createAttentionColormap(): Colormap {
  return createColormap("--sunk", "--blue", "--ink");
}

function getName(layer: number, head: number): string {
  return `layer ${layer + 1}, head ${head + 1}`;
}

function createLegend(): HTMLElement {
  // the weights at the start, middle and end of the square-root scale
  const labels = ["0", "0.25", "1"].map((text) => element("span", {}, text));
  return element(
    "div",
    { class: "legend small soft" },
    element("div", { class: "colors attention-colors" }),
    element("div", { class: "scale" }, ...labels),
    "Each row is a query token, each column a key token.",
  );
}
