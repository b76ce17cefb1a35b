// The Curves view: the list of runs, charts of the metrics of the selected runs, their snapshots,
// and the controls of the live run.

import type { RunInfo } from "../protocol.ts";
import { fetchJson } from "./api.ts";
import type { ViewSettings } from "./chart-specs.ts";
import { Charts } from "./charts.ts";
import { element } from "./element.ts";
import type { EventStream } from "./events.ts";
import { Options } from "./options.ts";
import { RunControl } from "./run-control.ts";
import { RunList } from "./run-list.ts";
import { Series } from "./series.ts";
import { Snapshots } from "./snapshots.ts";
import { Toolbar } from "./toolbar.ts";

export function createCurvesView(root: HTMLElement, stream: EventStream): void {
  const seriesByRun = new Map<string, Series>();
  const settings: ViewSettings = {
    x: "step",
    isLog: false,
    smoothing: 0.9,
    range: null,
    hidden: new Set(),
  };
  const runControl = new RunControl();
  const runList = new RunList(subscribe);
  const toolbar = new Toolbar(settings, () => {
    toolbar.update();
    charts.redraw();
  });
  const charts = new Charts(settings, () => toolbar.update());
  const options = new Options();
  const snapshots = new Snapshots();
  const errorMessage = element("p", { class: "error", role: "status" });
  const body = element(
    "div",
    { class: "curves", hidden: true }, // until the runs are loaded, to avoid a layout shift
    element(
      "aside",
      { "aria-label": "runs" },
      element("section", { class: "card" }, element("h3", {}, "Runs"), errorMessage, runList.root),
      options.root,
    ),
    element("div", { class: "main" }, toolbar.root, charts.root, snapshots.root),
  );
  root.append(runControl.root, body);

  stream.on("rows", ({ run, rows }) => {
    getSeries(run).append(rows);
    charts.redraw();
  });
  stream.on("restart", ({ run }) => {
    getSeries(run).clear();
    charts.redraw();
  });
  stream.on("snapshot", (snapshot) => snapshots.add(snapshot));
  stream.on("status", (status) => runControl.setStatus(status));
  stream.on("runs", reload);
  stream.onStateChange((state) => runControl.setConnected(state === "open"));
  // the list may have changed since the last connection, and the server may be a different one
  let reloads = 0;
  stream.onReply(reload);

  function getSeries(run: string): Series {
    const series = seriesByRun.get(run) ?? new Series();
    seriesByRun.set(run, series);
    return series;
  }

  function getSelectedNames(): string[] {
    return runList.selected.map(({ info }) => info.name);
  }

  /** Fetches the list of runs and updates the selection. */
  async function reload(): Promise<void> {
    const reloadNumber = ++reloads;
    let infos: RunInfo[];
    try {
      infos = await fetchJson<RunInfo[]>("/runs");
      if (reloadNumber !== reloads) return; // a newer list is on its way
    } catch (error) {
      errorMessage.textContent = (error as Error).message;
      return;
    } finally {
      body.hidden = false;
    }
    errorMessage.textContent = infos.length > 0 ? "" : "There are no runs yet.";
    const previous = getSelectedNames();
    runList.update(infos);
    runControl.setLiveRun(infos.find(({ isLive }) => isLive));
    if (getSelectedNames().join("/") === previous.join("/")) showSelected();
    else subscribe();
  }

  /** Subscribes to the events of the selected runs and shows these runs. Forgets all others. */
  function subscribe(): void {
    const names = getSelectedNames();
    for (const run of [...seriesByRun.keys()].filter((name) => !names.includes(name))) {
      seriesByRun.delete(run);
      stream.forget(run);
    }
    stream.subscribe(names);
    showSelected();
  }

  function showSelected(): void {
    const { selected } = runList;
    charts.show(selected.map((run) => ({ ...run, series: getSeries(run.info.name) })));
    options.show(selected);
    snapshots.setRuns(getSelectedNames());
  }
}
