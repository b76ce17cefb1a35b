// Formats numbers for axes, legends and labels.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 2 });

/** `12,345` */
export function formatInteger(x: number): string {
  return whole.format(x);
}

/** Up to four significant digits: `3.2e-5`, `0.0321`, `1.842`, `12.35K`. */
export function formatShort(x: number): string {
  if (x === 0) return "0";
  const size = Math.abs(x);
  if (size < 1e-4) return x.toExponential(2).replace(/0+e/, "e").replace(".e", "e");
  if (size < 1e4) return trimZeros(x.toPrecision(4));
  return compact.format(x);
}

/** `1:02:03`, `2:03`, `3.4 s` or `3 s` */
export function formatDuration(seconds: number): string {
  if (seconds < 60) return `${Number.isInteger(seconds) ? seconds : seconds.toFixed(1)} s`;
  const parts = [seconds / 3600, (seconds / 60) % 60, seconds % 60].map(Math.floor);
  const [first, ...rest] = parts[0] ? parts : parts.slice(1);
  return [first, ...rest.map((part) => String(part).padStart(2, "0"))].join(":");
}

/** Removes trailing zeros after the decimal point. */
function trimZeros(text: string): string {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}
