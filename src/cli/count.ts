// Counts in messages.

/** Formats `1 step`, `2 steps`. */
export function formatCount(count: number, unit: string): string {
  return `${count} ${unit}${count === 1 ? "" : "s"}`;
}
