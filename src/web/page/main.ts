// The page: three views behind tabs, each made when it is first shown.

import { autogradView } from "./autograd.ts";
import { curvesView } from "./curves.ts";
import { type Connection, EventStream } from "./events.ts";
import { modelView } from "./model.ts";

const stream = new EventStream();
const views: Record<string, (root: HTMLElement) => void> = {
  curves: (root) => curvesView(root, stream),
  model: modelView,
  autograd: autogradView,
};

const tabs = [...document.querySelectorAll<HTMLButtonElement>("[role=tab]")];
const panelOf = (tab: HTMLElement) =>
  document.getElementById(tab.getAttribute("aria-controls") as string) as HTMLElement;

function show(tab: HTMLButtonElement): void {
  for (const each of tabs) {
    const isShown = each === tab;
    each.ariaSelected = String(isShown);
    each.tabIndex = isShown ? 0 : -1;
    panelOf(each).hidden = !isShown;
  }
  const panel = panelOf(tab);
  if (panel.childElementCount === 0) views[panel.id](panel);
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
show(tabs.find((tab) => `#${panelOf(tab).id}` === location.hash) ?? tabs[0]);

const words: Record<Connection, string> = {
  opening: "connecting…",
  open: "connected",
  lost: "connection lost, reconnecting…",
  refused: "connection lost, reconnecting…",
};
stream.look([]);
stream.watch((connection) => {
  const told = document.getElementById("connection") as HTMLElement;
  told.textContent = words[connection];
  told.dataset.state = connection === "refused" ? "lost" : connection;
});
