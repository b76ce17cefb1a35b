// Errors, and the argument checks that do not concern shapes. All messages have one grammar,
// `op: argument is X, expected Y`, and the caller's line is on top of the stack.

/** A mistake in how the program or train() was called; the message says what to change. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** Throws a TypeError whose stack starts at the caller's line instead of inside the library. */
export function fail(message: string): never {
  const error = new TypeError(message);
  const [first, ...frames] = (error.stack ?? "").split("\n");
  const caller = frames.findIndex((frame) => !isInsideLibrary(frame));
  if (caller > 0) error.stack = [first, ...frames.slice(caller)].join("\n");
  throw error;
}

/**
 * The folder of the package as stack frames print it: with slashes, and none before C: A bundle may
 * have no URL, and its frames do not show which code is the library's.
 */
const root = URL.canParse("../", import.meta.url)
  ? decodeURI(new URL("../", import.meta.url).pathname).replace(/^\/(?=\w:)/, "")
  : null;

function isInsideLibrary(frame: string): boolean {
  if (root === null) return false;
  const path = frame.replaceAll("\\", "/");
  return [`${root}dist/`, `${root}src/`, "<anonymous>"].some((part) => path.includes(part));
}

/** Throws unless `fn` is a function. */
export function checkFunction(op: string, argument: string, fn: unknown): void {
  if (typeof fn !== "function") fail(`${op}: ${argument} is ${describe(fn)}, expected a function`);
}

/** Throws unless `value` is a number that is at least `min`. */
export function checkNumber(op: string, argument: string, value: number, min = -Infinity): void {
  if (typeof value === "number" && (min === -Infinity || value >= min)) return;
  const range = min > -Infinity ? ` from ${min} up` : "";
  fail(`${op}: ${argument} is ${describe(value)}, expected a number${range}`);
}

/** Throws unless `value` is a whole number from 1 up. */
export function checkCount(op: string, argument: string, value: number): void {
  if (Number.isSafeInteger(value) && value >= 1) return;
  fail(`${op}: ${argument} is ${describe(value)}, expected a whole number from 1 up`);
}

/** Throws unless `value` is a whole number from 0 up: the size of an axis. */
export function checkSize(op: string, argument: string, value: number): void {
  if (Number.isSafeInteger(value) && value >= 0) return;
  fail(`${op}: ${argument} is ${describe(value)}, expected a whole number from 0 up`);
}

/** Throws if `options` is not an object, or has a key that is not in `known`. */
export function checkOptions(op: string, options: object, known: readonly string[]): void {
  const isObject = typeof options === "object" && options !== null;
  if (!isObject || Array.isArray(options) || "storage" in options)
    fail(
      `${op}: options are ${describe(options)}, expected an object such as { ${known[0]}: ... }`,
    );
  for (const key of Object.keys(options)) {
    if (!known.includes(key)) fail(`${op}: unknown option ${key}, expected ${known.join(", ")}`);
  }
}

/** Returns the options without those that are undefined: these count as left out. */
export function defined<T extends object>(options: T): T {
  const entries = Object.entries(options).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as T;
}

/**
 * Describes the value of an argument for a message: text, short lists of numbers, and the class of
 * an object. Never throws.
 */
export function describe(value: unknown): string {
  if (typeof value === "string") return shorten(value);
  if (typeof value === "function") return "a function";
  if (typeof value === "symbol") return "a symbol";
  if (typeof value !== "object" || value === null) return String(value);
  const isShort = Array.isArray(value) && value.length <= 8;
  if (isShort && value.every((x) => typeof x === "number")) return `[${value.join(", ")}]`;
  if (Array.isArray(value)) return "an array";
  const name = value.constructor?.name ?? "Object";
  return name === "Object" ? "an object" : `a ${name}`;
}

/** Formats any value for a message: as JSON if possible, without control characters, and short. */
export function quote(value: unknown): string {
  if (value === undefined) return "missing";
  if (typeof value === "number") return Object.is(value, -0) ? "-0" : String(value);
  try {
    return shorten(JSON.stringify(value) ?? String(value));
  } catch {
    return "a value that JSON cannot write"; // nested too deeply, or in itself
  }
}

/** Formats a name from a file for a message: without control characters, and short. */
export function shorten(text: string): string {
  return escapeControls(text.length > 63 ? `${text.slice(0, 60)}...` : text);
}

/** Escapes the control characters of a text from a file, which could move a terminal's cursor. */
export function escapeControls(text: string): string {
  return text.replace(/\p{Cc}/gu, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
