// Reads the colors of the style sheets, in light and dark mode, for code that draws on a canvas.

/** The number of CSS variables with run colors: --run-0, --run-1 and so on. */
export const RUN_COLORS = 8;

const style = getComputedStyle(document.documentElement);

/** Returns the current value of a CSS variable, such as `--line`. */
export function cssColor(name: string): string {
  return style.getPropertyValue(name).trim();
}

/** Calls `repaint` whenever the page switches between light and dark mode. */
export function onThemeChange(repaint: () => void): void {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
}
