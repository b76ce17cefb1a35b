// The embedding tables of a model as heat maps: a row per token or position, a column per channel.

import type { ModelInfo } from "../protocol.ts";
import { fetchFloats } from "./api.ts";
import { type Colormap, createColormap } from "./colormap.ts";
import { onThemeChange } from "./colors.ts";
import { element } from "./element.ts";
import { HeatMap } from "./heatmap.ts";
import { toVisibleText } from "./tokens.ts";

const titles: Record<string, string> = {
  wte: "token embeddings (wte)",
  wpe: "position embeddings (wpe)",
  token_embedding_table: "bigram logits (token_embedding_table)",
};

/** Negative, zero, positive: the colors of `.table-colors` in model.css. */
function createTableColormap(): Colormap {
  return createColormap("--orange", "--card", "--blue");
}

export class Tables {
  readonly root: HTMLElement;
  readonly #select = element("select", { onchange: () => this.#load() });
  readonly #note = element("p", { class: "small soft" }, "\u00a0");
  readonly #scale = element("div", { class: "scale" });
  readonly #heatMap = new HeatMap("Point at the table to see a value");
  #source: { run: string; model: ModelInfo } | null = null;

  constructor() {
    this.root = element(
      "section",
      { class: "card tables" },
      element("h2", {}, "Embeddings"),
      element("div", { class: "row" }, element("label", {}, "table", this.#select)),
      this.#note,
      this.#heatMap.root,
      element(
        "div",
        { class: "legend small soft" },
        element("div", { class: "colors table-colors" }),
        this.#scale,
      ),
    );
    onThemeChange(() => this.#heatMap.repaint(createTableColormap()));
  }

  /** Shows the tables of a run's model. The selected table stays selected if the model has it. */
  show(run: string, model: ModelInfo, positions: unknown): Promise<void> {
    this.#source = { run, model };
    const previous = this.#select.value;
    this.#select.replaceChildren(
      ...Object.keys(model.tables).map((name) => element("option", { value: name }, titles[name])),
    );
    if (previous in model.tables) this.#select.value = previous;
    const isGPT = model.layers > 0;
    this.#note.textContent =
      isGPT && !("wpe" in model.tables)
        ? `The model has no position embeddings (positions: ${positions}).`
        : "\u00a0";
    return this.#load();
  }

  async #load(): Promise<void> {
    const { run, model } = this.#source as { run: string; model: ModelInfo };
    const name = this.#select.value;
    const { rows, columns, total } = model.tables[name];
    const values = await fetchFloats(`/runs/${encodeURIComponent(run)}/table/${name}`);
    // the selection may have changed in the meantime
    if (this.#source?.model !== model || this.#select.value !== name) return;
    const maximum = values.reduce((max, value) => Math.max(max, Math.abs(value)), 0) || 1;
    const describeToken = (id: number) => `“${toVisibleText(model.vocabulary[id], id)}” (${id})`;
    const describeRow = (row: number) => (name === "wpe" ? `position ${row}` : describeToken(row));
    const describeColumn = (column: number) =>
      name === "token_embedding_table" ? describeToken(column) : `channel ${column}`;
    this.#heatMap.show(
      {
        values,
        rows,
        columns,
        colormap: createTableColormap(),
        normalize: (value) => 0.5 + value / maximum / 2,
        describe: (row, column, value) =>
          `${describeRow(row)}, ${describeColumn(column)}: ${value.toFixed(4)}`,
      },
      titles[name],
    );
    const labels = [-maximum, 0, maximum].map((value) => element("span", {}, value.toFixed(2)));
    this.#scale.replaceChildren(...labels);
    if (rows < total) this.#note.textContent = `The first ${rows} of ${total} rows.`;
  }
}
