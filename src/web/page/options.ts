// The options of the selected runs in tables: those that differ, and all of them.

import type { RunInfo } from "../protocol.ts";
import { element } from "./element.ts";
import { swatch } from "./legend.ts";

interface SelectedRun {
  info: RunInfo;
  color: string;
}

/** Options that are not shown: the output folder is the name of the run. */
const hiddenOptions = ["out"];

/** Returns the sorted names of the runs' options, or only of those that differ between runs. */
export function getOptionNames(
  runs: readonly Pick<RunInfo, "config">[],
  onlyDiffering: boolean,
): string[] {
  const names = new Set(runs.flatMap(({ config }) => Object.keys(config)));
  const isDiffering = (name: string) =>
    new Set(runs.map(({ config }) => JSON.stringify(config[name]))).size > 1;
  return [...names]
    .filter((name) => !hiddenOptions.includes(name) && (!onlyDiffering || isDiffering(name)))
    .sort();
}

export class Options {
  readonly root = element("section", { class: "card options", "aria-label": "options" });
  readonly #differing = element("div", { class: "differing scroll" });
  readonly #all = element("div", { class: "scroll" });

  constructor() {
    this.root.append(
      element("h3", {}, "Options"),
      this.#differing,
      element("details", {}, element("summary", {}, "Configuration"), this.#all),
    );
  }

  show(runs: readonly SelectedRun[]): void {
    const infos = runs.map(({ info }) => info);
    const differing = getOptionNames(infos, true);
    this.#differing.hidden = infos.length < 2;
    this.#differing.replaceChildren(
      differing.length > 0
        ? createTable(runs, differing)
        : element("p", {}, "All options are identical."),
    );
    this.#all.replaceChildren(createTable(runs, getOptionNames(infos, false)));
  }
}

/** Creates a table with a row per option and a column per run. */
function createTable(runs: readonly SelectedRun[], names: string[]): HTMLElement {
  const headers = runs.map(({ info, color }) =>
    element("th", { scope: "col" }, swatch(color), info.name),
  );
  const rows = names.map((name) => {
    const cells = runs.map(({ info }) => element("td", {}, formatOption(info.config[name])));
    return element("tr", {}, element("th", { scope: "row" }, name), ...cells);
  });
  const head = element("thead", {}, element("tr", {}, element("td"), ...headers));
  return element("table", {}, head, element("tbody", {}, ...rows));
}

function formatOption(value: unknown): string {
  if (value === undefined || value === null) return "–";
  return typeof value === "string" ? value : JSON.stringify(value);
}
