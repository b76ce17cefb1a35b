// Colours for what is drawn by code: those of the style sheets, in light and dark.

/** How many colours there are for runs: --run-0 and so on. */
export const RUN_COLORS = 8;

const style = getComputedStyle(document.documentElement);

/** The value of a CSS variable: `paint("--line")`. */
export function paint(name: string): string {
  return style.getPropertyValue(name).trim();
}

/** Calls `repaint` whenever light changes to dark, or back. */
export function onThemeChange(repaint: () => void): void {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
}
