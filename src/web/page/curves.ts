// The view of how runs learn: a list to choose from, charts of those chosen, and what the one that
// is being trained is up to.

import type { RunInfo } from "../protocol.ts";
import { fetchJson } from "./api.ts";
import type { View } from "./chart-specs.ts";
import { Charts } from "./charts.ts";
import { element } from "./element.ts";
import type { EventStream } from "./events.ts";
import { Options } from "./options.ts";
import { RunControl } from "./run-control.ts";
import { RunList } from "./run-list.ts";
import { Series } from "./series.ts";
import { Snapshots } from "./snapshots.ts";
import { Toolbar } from "./toolbar.ts";

export function curvesView(root: HTMLElement, stream: EventStream): void {
  const all = new Map<string, Series>();
  const view: View = {
    x: "step",
    isLog: false,
    smoothing: 0.9,
    range: null,
    hidden: new Set(),
  };
  const control = new RunControl();
  const list = new RunList(look);
  const toolbar = new Toolbar(view, changed);
  const charts = new Charts(view, () => toolbar.update());
  const options = new Options();
  const glimpses = new Snapshots();
  const problem = element("p", { class: "error", role: "status" });
  const body = element(
    "div",
    { class: "curves", hidden: true }, // until the runs are known: else all would move then
    element(
      "aside",
      { "aria-label": "runs" },
      element("section", { class: "card" }, element("h3", {}, "Runs"), problem, list.root),
      options.root,
    ),
    element("div", { class: "main" }, toolbar.root, charts.root, glimpses.root),
  );
  root.append(control.root, body);

  stream.on("rows", ({ run, rows }) => {
    seriesOf(run).append(rows);
    charts.redraw();
  });
  stream.on("restart", ({ run }) => {
    seriesOf(run).clear();
    charts.redraw();
  });
  stream.on("snapshot", (glimpse) => glimpses.add(glimpse));
  stream.on("status", (status) => control.hear(status));
  stream.on("runs", reload);
  stream.watch((connection) => {
    control.reach(connection === "open");
    // the server may be another one, with other runs
    if (connection === "open" || connection === "refused") reload();
  });

  function changed(): void {
    toolbar.update();
    charts.redraw();
  }

  function seriesOf(run: string): Series {
    const series = all.get(run) ?? new Series();
    all.set(run, series);
    return series;
  }

  function names(): string[] {
    return list.chosen.map(({ info }) => info.name);
  }

  async function reload(): Promise<void> {
    let infos: RunInfo[];
    try {
      infos = await fetchJson<RunInfo[]>("/runs");
    } catch (error) {
      problem.textContent = (error as Error).message;
      return;
    } finally {
      body.hidden = false;
    }
    problem.textContent = infos.length ? "" : "There are no runs yet.";
    const before = names().join("/");
    list.update(infos);
    control.setLive(infos.find(({ isLive }) => isLive)?.name);
    if (names().join("/") === before) show();
    else look();
  }

  /** Hears the runs that are chosen, and shows them. */
  function look(): void {
    stream.look(names());
    show();
  }

  function show(): void {
    const { chosen } = list;
    charts.show(chosen.map((run) => ({ ...run, series: seriesOf(run.info.name) })));
    options.show(chosen);
    glimpses.choose(names());
  }
}
