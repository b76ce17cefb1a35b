// Text for console.log() and String(): the parts that tensors, modules and optimizers share.

/** The key of the method whose result console.log() of Node prints. It exists in browsers too. */
export const inspectSymbol: unique symbol = Symbol.for("nodejs.util.inspect.custom");

/** Formats a number, list or name: 0.00001 as 1e-5, [0.9, 0.999]. */
function formatField(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(formatField).join(", ")}]`;
  const isSmall = typeof value === "number" && value !== 0 && Math.abs(value) < 1e-3;
  return isSmall ? value.toExponential() : String(value);
}

/** Formats the fields of an object that are numbers, names, true or false, or lists of numbers. */
export function formatFields(fields: object): string {
  const isPrinted = (value: unknown) =>
    ["number", "string", "boolean"].includes(typeof value) ||
    (Array.isArray(value) && value.length > 0 && value.every((x) => typeof x === "number"));
  return Object.entries(fields)
    .filter(([, value]) => isPrinted(value))
    .map(([name, value]) => `${name}=${formatField(value)}`)
    .join(", ");
}

/** Formats a count with commas and the noun in singular or plural: 1,234 parameters. */
export function formatCount(count: number, noun: string): string {
  return `${count.toLocaleString("en-US")} ${noun}${count === 1 ? "" : "s"}`;
}

/** Indents every line of a text by two spaces. */
export function indentLines(text: string): string {
  return text.replace(/^/gm, "  ");
}
