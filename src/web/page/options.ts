// The options of the chosen runs side by side: those in which they differ, and all of them.

import type { RunInfo } from "../protocol.ts";
import { element } from "./element.ts";
import { swatch } from "./legend.ts";

/** The folder says no more than the run's name. */
const unsaid = ["out"];

/** The names of the options that the runs have, sorted; only those that differ, if asked so. */
export function optionsOf(runs: readonly Pick<RunInfo, "config">[], onlyDiffering: boolean) {
  const names = new Set(runs.flatMap(({ config }) => Object.keys(config)));
  const differs = (name: string) =>
    new Set(runs.map(({ config }) => JSON.stringify(config[name]))).size > 1;
  return [...names]
    .filter((name) => !unsaid.includes(name) && (!onlyDiffering || differs(name)))
    .sort();
}

export class Options {
  readonly root = element("section", { class: "card options", "aria-label": "options" });
  readonly #differing = element("div");
  readonly #all = element("div", { class: "scroll" });

  constructor() {
    this.root.append(
      element("h3", {}, "Options"),
      this.#differing,
      element("details", {}, element("summary", {}, "Configuration"), this.#all),
    );
  }

  show(runs: readonly { info: RunInfo; color: string }[]): void {
    const infos = runs.map(({ info }) => info);
    const differing = optionsOf(infos, true);
    this.#differing.hidden = infos.length < 2;
    this.#differing.className = "differing scroll";
    this.#differing.replaceChildren(
      differing.length ? table(runs, differing) : element("p", {}, "All options are the same."),
    );
    this.#all.replaceChildren(table(runs, optionsOf(infos, false)));
  }
}

function table(runs: readonly { info: RunInfo; color: string }[], names: string[]): HTMLElement {
  const heads = runs.map(({ info, color }) =>
    element("th", { scope: "col" }, swatch(color), info.name),
  );
  const rows = names.map((name) => {
    const cells = runs.map(({ info }) => element("td", {}, textOf(info.config[name])));
    return element("tr", {}, element("th", { scope: "row" }, name), ...cells);
  });
  const head = element("thead", {}, element("tr", {}, element("td"), ...heads));
  return element("table", {}, head, element("tbody", {}, ...rows));
}

function textOf(value: unknown): string {
  if (value === undefined || value === null) return "–";
  return typeof value === "string" ? value : JSON.stringify(value);
}
