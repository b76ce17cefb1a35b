// The list of runs: a checkbox that selects a run, its color, its size, and its metrics as CSV.

import type { RunInfo } from "../protocol.ts";
import { withToken } from "./api.ts";
import { RUN_COLORS } from "./colors.ts";
import { element } from "./element.ts";
import { formatInteger } from "./format.ts";
import { swatch } from "./legend.ts";

/** The number of runs that are listed at first, and added with each press of the button. */
const PAGE_SIZE = 200;

export class RunList {
  readonly root = element("ul", { class: "runs" });
  readonly #onChange: () => void;
  #infos: RunInfo[] = [];
  /** The color index of each selected run, by name. A run keeps its color while selected. */
  readonly #colors = new Map<string, number>();
  #hasSelected = false;
  #listedCount = PAGE_SIZE;

  /** `onChange` is called after the user has selected or deselected a run. */
  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  /** The selected runs, in the order of the list. */
  get selected(): { info: RunInfo; color: string }[] {
    return this.#infos.flatMap((info) => {
      const color = this.#colors.get(info.name);
      return color === undefined ? [] : [{ info, color: `--run-${color}` }];
    });
  }

  /**
   * Replaces the list. The live run or the newest one is selected if nothing has been selected yet,
   * or if all selected runs have been deleted.
   */
  update(infos: RunInfo[]): void {
    this.#infos = infos;
    const names = new Set(infos.map(({ name }) => name));
    const deleted = [...this.#colors.keys()].filter((name) => !names.has(name));
    for (const name of deleted) this.#colors.delete(name);
    const first = infos.find(({ isLive }) => isLive) ?? infos[0];
    if (first && this.#colors.size === 0 && (deleted.length > 0 || !this.#hasSelected))
      this.#select(first.name);
    const focused = document.activeElement?.getAttribute("data-run");
    const listed = infos.filter(({ name }, i) => i < this.#listedCount || this.#colors.has(name));
    this.root.replaceChildren(...listed.map((info) => this.#createItem(info)));
    const hiddenCount = infos.length - listed.length;
    if (hiddenCount > 0) this.root.append(this.#createMoreButton(hiddenCount));
    if (focused) this.root.querySelector<HTMLElement>(`[data-run=${CSS.escape(focused)}]`)?.focus();
  }

  /** Selects a run with the first free color. */
  #select(name: string): void {
    this.#hasSelected = true;
    const used = [...this.#colors.values()];
    let color = 0;
    while (color < RUN_COLORS && used.includes(color)) color++;
    this.#colors.set(name, color < RUN_COLORS ? color : used.length % RUN_COLORS);
  }

  /** Creates a button that lists more of the older runs, which are not in the document yet. */
  #createMoreButton(hiddenCount: number): HTMLElement {
    const onclick = () => {
      const firstNew = this.#listedCount;
      this.#listedCount += PAGE_SIZE;
      this.update(this.#infos);
      this.root.children[firstNew].querySelector("input")?.focus(); // the button has been replaced
    };
    const text = `List more of ${formatInteger(hiddenCount)} older runs`;
    return element("li", {}, element("button", { type: "button", onclick }, text));
  }

  #createItem({ name, config, isLive, parameters }: RunInfo): HTMLElement {
    const color = this.#colors.get(name);
    const isSelected = color !== undefined;
    const box = element("input", { type: "checkbox", checked: isSelected, "data-run": name });
    box.addEventListener("change", () => {
      if (box.checked) this.#select(name);
      else this.#colors.delete(name);
      this.update(this.#infos);
      this.#onChange();
    });
    const label = element(
      "label",
      { title: name },
      box,
      swatch(isSelected ? `--run-${color}` : "--line"),
      element("span", { class: "name" }, name),
    );
    const csv = element(
      "a",
      {
        href: withToken(`/runs/${encodeURIComponent(name)}/metrics.csv`),
        download: true,
        "aria-label": `metrics of ${name} as CSV`,
      },
      "CSV",
    );
    const size = parameters && `${(parameters / 1e6).toFixed(2)} M`;
    const summary = [config.preset ?? config.model, size, config.device].filter(Boolean);
    const item = element("li", {}, label);
    if (isLive) item.append(element("span", { class: "live" }, "live"));
    item.append(csv, element("p", { class: "soft small" }, summary.join(" · ")));
    return item;
  }
}
