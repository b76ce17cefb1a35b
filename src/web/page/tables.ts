// The tables of a model as pictures: a row for each token or place, a column for each channel.

import type { ModelInfo } from "../protocol.ts";
import { fetchFloats } from "./api.ts";
import { ramp } from "./colormap.ts";
import { onThemeChange } from "./colors.ts";
import { element } from "./element.ts";
import { HeatMap } from "./heatmap.ts";
import { shown } from "./tokens.ts";

const names: Record<string, string> = {
  wte: "tokens (wte)",
  wpe: "positions (wpe)",
  token_embedding_table: "what follows which (token_embedding_table)",
};
const colours = () => ramp("--orange", "--card", "--blue");

export class Tables {
  readonly element: HTMLElement;
  readonly #choice = element("select", { onchange: () => this.#load() });
  readonly #note = element("p", { class: "small soft" }, "\u00a0");
  readonly #scale = element("div", { class: "scale" });
  readonly #map = new HeatMap("Point at the table: row, channel and value");
  #shown: { run: string; model: ModelInfo } | null = null;

  constructor() {
    this.element = element(
      "section",
      { class: "card tables" },
      element("h2", {}, "Tables"),
      element("div", { class: "row" }, element("label", {}, "table", this.#choice)),
      this.#note,
      this.#map.element,
      element(
        "div",
        { class: "legend small soft" },
        element("div", { class: "colours table-colours" }),
        this.#scale,
      ),
    );
    onThemeChange(() => this.#map.paint(colours()));
  }

  /** Shows the tables of a run's model; if the new model has it, the one chosen before. */
  show(run: string, model: ModelInfo, positions: unknown): Promise<void> {
    this.#shown = { run, model };
    const before = this.#choice.value;
    this.#choice.replaceChildren(
      ...Object.keys(model.tables).map((name) => element("option", { value: name }, names[name])),
    );
    if (before in model.tables) this.#choice.value = before;
    this.#note.textContent =
      model.layers > 0 && !("wpe" in model.tables)
        ? `It has no table of positions (${positions}).`
        : "\u00a0";
    return this.#load();
  }

  async #load(): Promise<void> {
    const { run, model } = this.#shown as { run: string; model: ModelInfo };
    const name = this.#choice.value;
    const { rows, columns, total } = model.tables[name];
    const values = await fetchFloats(`/runs/${encodeURIComponent(run)}/table/${name}`);
    if (this.#shown?.model !== model || this.#choice.value !== name) return; // another is wanted
    const most = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
    const token = (id: number) => `“${shown(model.vocabulary[id], id)}” (${id})`;
    const rowName = (row: number) => (name === "wpe" ? `position ${row}` : token(row));
    const columnName = name === "token_embedding_table" ? token : (c: number) => `channel ${c}`;
    this.#map.show(
      {
        ...{ values, rows, columns, ramp: colours() },
        level: (value) => 0.5 + value / most / 2,
        describe: (row, column, value) =>
          `${rowName(row)}, ${columnName(column)}: ${value.toFixed(4)}`,
      },
      `table of ${names[name]}`,
    );
    const ends = [-most, 0, most].map((value) => element("span", {}, value.toFixed(2)));
    this.#scale.replaceChildren(...ends);
    if (rows < total) this.#note.textContent = `The first ${rows} of ${total} rows.`;
  }
}
