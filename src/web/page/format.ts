// How numbers are written: in as few characters as tell them apart.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 2 });

/** `12,345` */
export function integer(x: number): string {
  return whole.format(x);
}

/** `3.2e-5`, `0.0321`, `1.842`, `12.35K`: as on an axis. */
export function short(x: number): string {
  if (x === 0) return "0";
  const size = Math.abs(x);
  if (size < 1e-4) return trimmed(x.toExponential(2)).replace(/0+e/, "e").replace(".e", "e");
  if (size < 1e4) return trimmed(x.toPrecision(4));
  return compact.format(x);
}

/** `1:02:03`, `2:03`, `3.4 s` or `3 s` */
export function duration(seconds: number): string {
  if (seconds < 60) return `${Number.isInteger(seconds) ? seconds : seconds.toFixed(1)} s`;
  const parts = [seconds / 3600, (seconds / 60) % 60, seconds % 60].map(Math.floor);
  const [first, ...rest] = parts[0] ? parts : parts.slice(1);
  return [first, ...rest.map((part) => String(part).padStart(2, "0"))].join(":");
}

/** Without zeros at the end of the fraction. */
function trimmed(text: string): string {
  return text.includes(".") && !text.includes("e") ? text.replace(/\.?0+$/, "") : text;
}
