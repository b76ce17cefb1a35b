// The tabs of the page: one view is shown at a time.

type CreateView = (root: HTMLElement) => void | Promise<void>;

/** Connects the tabs in the page with their views, by the ids of their panels. */
export function createTabs(createView: Record<string, CreateView>): void {
  const created = new Set<string>();
  const tabs = [...document.querySelectorAll<HTMLButtonElement>("[role=tab]")];
  const getPanel = (tab: HTMLElement) =>
    document.getElementById(tab.getAttribute("aria-controls") as string) as HTMLElement;
  const show = (selected: HTMLButtonElement) => {
    for (const tab of tabs) {
      const isSelected = tab === selected;
      tab.setAttribute("aria-selected", String(isSelected));
      tab.tabIndex = isSelected ? 0 : -1;
      getPanel(tab).hidden = !isSelected;
    }
    const panel = getPanel(selected);
    document.body.dataset.view = panel.id;
    window.scrollTo(0, 0);
    if (created.has(panel.id)) return;
    created.add(panel.id);
    void createView[panel.id](panel);
  };
  for (const [i, tab] of tabs.entries()) {
    tab.addEventListener("click", () => show(tab));
    tab.addEventListener("keydown", (event) => {
      const targets: Record<string, number> = {
        ArrowRight: i + 1,
        ArrowLeft: i - 1 + tabs.length,
        Home: 0,
        End: tabs.length - 1,
      };
      const target = targets[event.key];
      if (target === undefined) return;
      event.preventDefault();
      const next = tabs[target % tabs.length];
      next.focus();
      show(next);
    });
  }
  show(tabs[0]);
}
