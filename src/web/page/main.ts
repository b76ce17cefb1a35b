// The page's entry point: three views in tabs. A view is created when its tab is first shown.

import type { Graph } from "../protocol.ts";
import { fetchJson } from "./api.ts";
import { createAutogradView } from "./autograd.ts";
import { createCurvesView } from "./curves.ts";
import { type ConnectionState, EventStream } from "./events.ts";
import { createModelView } from "./model.ts";

const stream = new EventStream();
const createView: Record<string, (root: HTMLElement) => void> = {
  curves: (root) => createCurvesView(root, stream),
  model: createModelView,
  autograd: (root) =>
    createAutogradView(root, (request, signal) => fetchJson<Graph>("/graph", request, signal)),
};

const tabs = [...document.querySelectorAll<HTMLButtonElement>("[role=tab]")];

function getPanel(tab: HTMLElement): HTMLElement {
  return document.getElementById(tab.getAttribute("aria-controls") as string) as HTMLElement;
}

function show(selected: HTMLButtonElement): void {
  for (const tab of tabs) {
    const isSelected = tab === selected;
    tab.ariaSelected = String(isSelected);
    tab.tabIndex = isSelected ? 0 : -1;
    getPanel(tab).hidden = !isSelected;
  }
  const panel = getPanel(selected);
  if (panel.childElementCount === 0) createView[panel.id](panel);
  history.replaceState(null, "", `#${panel.id}`);
}

for (const [i, tab] of tabs.entries()) {
  tab.addEventListener("click", () => show(tab));
  tab.addEventListener("keydown", ({ key }) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
    if (!step) return;
    const next = tabs[(i + step + tabs.length) % tabs.length];
    next.focus();
    show(next);
  });
}
show(tabs.find((tab) => `#${getPanel(tab).id}` === location.hash) ?? tabs[0]);

const connectionLabels: Record<ConnectionState, string> = {
  connecting: "connecting…",
  open: "connected",
  lost: "connection lost, reconnecting…",
  rejected: "connection lost, reconnecting…",
};
const connection = document.getElementById("connection") as HTMLElement;
stream.subscribe([]);
stream.onStateChange((state) => {
  connection.textContent = connectionLabels[state];
  connection.dataset.state = state === "rejected" ? "lost" : state;
});
