// The list of runs: which are shown, each with its colour, and its rows as a table to save.

import type { RunInfo } from "../protocol.ts";
import { RUN_COLORS } from "./colors.ts";
import { element } from "./element.ts";
import { swatch } from "./legend.ts";

export class RunList {
  readonly root = element("ul", { class: "runs" });
  readonly #changed: () => void;
  #infos: RunInfo[] = [];
  /** By the name of each run that was chosen, its colour: it keeps it. */
  readonly #colors = new Map<string, number>();
  /** Nothing was chosen yet. */
  #isNew = true;

  constructor(changed: () => void) {
    this.#changed = changed;
  }

  /** The runs that are chosen, in the order of the list. */
  get chosen(): { info: RunInfo; color: string }[] {
    return this.#infos.flatMap((info) => {
      const color = this.#colors.get(info.name);
      return color === undefined ? [] : [{ info, color: `--run-${color}` }];
    });
  }

  /** Shows these runs; of those chosen, if none is there any more, the live or the newest one. */
  update(infos: RunInfo[]): void {
    this.#infos = infos;
    const names = infos.map(({ name }) => name);
    const gone = [...this.#colors.keys()].filter((name) => !names.includes(name));
    for (const name of gone) this.#colors.delete(name);
    const first = infos.find(({ isLive }) => isLive) ?? infos[0];
    if (first && this.#colors.size === 0 && (gone.length > 0 || this.#isNew))
      this.#choose(first.name);
    const focused = document.activeElement?.getAttribute("data-run");
    this.root.replaceChildren(...infos.map((info) => this.#item(info)));
    if (focused) this.root.querySelector<HTMLElement>(`[data-run=${CSS.escape(focused)}]`)?.focus();
  }

  #choose(name: string): void {
    this.#isNew = false;
    const taken = [...this.#colors.values()];
    const free = Array.from({ length: RUN_COLORS }, (_, i) => i).find((i) => !taken.includes(i));
    this.#colors.set(name, free ?? taken.length % RUN_COLORS);
  }

  #item({ name, config, isLive, parameters }: RunInfo): HTMLElement {
    const color = this.#colors.get(name);
    const isChosen = color !== undefined;
    const box = element("input", { type: "checkbox", checked: isChosen, "data-run": name });
    box.addEventListener("change", () => {
      if (box.checked) this.#choose(name);
      else this.#colors.delete(name);
      this.update(this.#infos);
      this.#changed();
    });
    const size = parameters && `${(parameters / 1e6).toFixed(2)} M`;
    const about = [config.preset ?? config.model, size, config.device].filter(Boolean).join(" · ");
    const label = element(
      "label",
      { title: name },
      box,
      swatch(isChosen ? `--run-${color}` : "--line"),
      element("span", { class: "name" }, name),
    );
    const csv = element(
      "a",
      {
        href: `/runs/${encodeURIComponent(name)}/metrics.csv`,
        download: true,
        "aria-label": `metrics of ${name} as CSV`,
      },
      "CSV",
    );
    const live = isLive ? [element("span", { class: "live" }, "live")] : [];
    return element("li", {}, label, ...live, csv, element("p", { class: "soft small" }, about));
  }
}
