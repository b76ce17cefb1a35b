// Counts in messages.

/** Formats `1 step`, `2 steps`, `10,000 steps`. */
export function formatCount(count: number, unit: string): string {
  return `${count.toLocaleString("en-US")} ${unit}${count === 1 ? "" : "s"}`;
}
