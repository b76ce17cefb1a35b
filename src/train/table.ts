// A table of options: what each is called, may be, and is by default. One table drives the command
// line, its help, JSON files and the record in a run's folder.

import { defined } from "../errors.ts";

/** Somebody asked for what there is not; the message names it and the nearest right thing. */
export class UsageError extends Error {
  override name = "UsageError";
}

export interface Option {
  type: "integer" | "number" | "boolean" | "string";
  help: string;
  /** What it is when nobody says; left out: it may stay undefined. */
  default?: unknown;
  choices?: readonly string[];
  /** The smallest number allowed. */
  min?: number;
  /** A number that is too small, as all below it are. */
  above?: number;
  /** The largest number allowed. */
  max?: number;
  /** How help calls the value. */
  value?: string;
}

export type Table = Readonly<Record<string, Option>>;

/** nEmbd -> n-embd */
export function flagOf(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** What each option is when nobody says; those with no default are left out. T names the types. */
export function defaultsOf<T>(table: Table): T {
  const defaults = Object.entries(table).map(([key, option]) => [key, option.default]);
  return defined(Object.fromEntries(defaults));
}

/** Throws unless every value is one its option allows; `from` says where the values stand. */
export function check(table: Table, values: object, from: string): void {
  for (const [key, value] of Object.entries(values)) {
    if (!Object.hasOwn(table, key))
      throw new UsageError(unknownOption(key, Object.keys(table), from));
    if (value === undefined) continue;
    const fault = faultOf(table[key], value);
    if (fault)
      throw new UsageError(`${from}: ${key} is ${JSON.stringify(value)}, expected ${fault}`);
  }
}

/** What a value should have been; empty if it is right. */
function faultOf(
  { type, choices, min = -Infinity, above = -Infinity, max = Infinity }: Option,
  value: unknown,
): string {
  if (choices) {
    if (choices.includes(value as string)) return "";
    const near = nearest(String(value), choices);
    return choices.join(", ") + (near ? ` (did you mean ${near}?)` : "");
  }
  if (type === "boolean") return typeof value === "boolean" ? "" : "true or false";
  if (type === "string") return typeof value === "string" && value ? "" : "some text";
  const number = value as number;
  const sound = type === "integer" ? Number.isSafeInteger(number) : Number.isFinite(number);
  if (sound && number >= min && number > above && number <= max) return "";
  const kind = type === "integer" ? "a whole number" : "a number";
  if (above > -Infinity) return `${kind} above ${above}`;
  const least = min > -Infinity ? ` from ${min}` : "";
  return kind + least + (max < Infinity ? ` to ${max}` : least && " up");
}

export function unknownOption(name: string, known: readonly string[], from: string): string {
  const near = nearest(name, known);
  return `${from}: unknown option ${name}${near ? `; did you mean ${near}?` : ""}`;
}

/** The known name that the fewest edits turn `name` into; none if all are far from it. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const ranked = known
    .map((each) => ({ each, edits: editsBetween(name.toLowerCase(), each.toLowerCase()) }))
    .sort((a, b) => a.edits - b.edits);
  return ranked[0]?.edits <= Math.max(2, name.length / 3) ? ranked[0].each : undefined;
}

/** Levenshtein's distance (1966): insertions, deletions and substitutions. */
function editsBetween(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substituted = row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(row[j] + 1, next[j - 1] + 1, substituted));
    }
    row = next;
  }
  return row[b.length];
}
