// Option tables: the type, range, default and help text of each option. One table drives the
// command line, its --help, JSON config files and the config.json of a run.

import { defined, quote, shorten, UsageError } from "./errors.ts";
import { findFlagSynonym, findValueSynonym } from "./synonyms.ts";

export interface OptionSpec {
  type: "integer" | "number" | "boolean" | "string";
  help: string;
  /** The default value. An option without one may be undefined. */
  default?: unknown;
  /** True if the command line must contain the option. */
  required?: boolean;
  choices?: readonly string[];
  /** The smallest number allowed. */
  min?: number;
  /** An exclusive lower bound: numbers must be greater. */
  above?: number;
  /** The largest number allowed. */
  max?: number;
  /** The placeholder for the value in help texts, such as FILE. */
  value?: string;
}

export type OptionTable = Readonly<Record<string, OptionSpec>>;

/** Converts an option's name to its flag: nEmbd -> n-embd. */
export function toFlag(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** Returns the defaults of a table, as an object of type T. */
export function getDefaults<T>(table: OptionTable): T {
  const defaults = Object.entries(table).map(([key, option]) => [key, option.default]);
  return defined(Object.fromEntries(defaults));
}

/**
 * Throws a UsageError unless the table has every key of `values` and allows its value. Messages
 * begin with `source`, the command or file that the values come from.
 */
export function checkValues(table: OptionTable, values: object, source: string): void {
  for (const [key, value] of Object.entries(values)) {
    if (!Object.hasOwn(table, key)) throw unknownOption(key, Object.keys(table), source);
    if (value === undefined) continue;
    const expected = describeExpected(table[key], value);
    if (expected)
      throw new UsageError(`${source}: ${key} is ${quote(value)}, expected ${expected}`);
  }
}

/** Describes the values that an option allows; returns "" if `value` is one of them. */
function describeExpected(
  { type, choices, min = -Infinity, above = -Infinity, max = Infinity }: OptionSpec,
  value: unknown,
): string {
  if (choices) {
    if (choices.includes(value as string)) return "";
    const name = typeof value === "string" ? value : "";
    const nearest = findValueSynonym(name, choices) ?? findNearest(name, choices);
    return choices.join(", ") + (nearest ? ` (did you mean ${nearest}?)` : "");
  }
  if (type === "boolean") return typeof value === "boolean" ? "" : "true or false";
  if (type === "string") return typeof value === "string" && value ? "" : "a non-empty string";
  const number = value as number;
  const isNumber = type === "integer" ? Number.isSafeInteger(number) : Number.isFinite(number);
  if (isNumber && number >= min && number > above && number <= max) return "";
  const kind = type === "integer" ? "a whole number" : "a number";
  if (above > -Infinity) return `${kind} above ${above}`;
  if (max < Infinity) return `${kind} from ${min} to ${max}`;
  return min > -Infinity ? `${kind} from ${min} up` : kind;
}

/** Returns the error for an option that does not exist; it suggests the right name, if it can. */
export function unknownOption(name: string, known: readonly string[], source: string): UsageError {
  const suggestion = suggestOption(name, known);
  return new UsageError(
    `${source}: unknown option ${shorten(name)}${suggestion && `; ${suggestion}`}`,
  );
}

/** Describes the known option that a wrong name may stand for; returns "" if there is none. */
function suggestOption(name: string, known: readonly string[]): string {
  const flag = normalizeFlag(name);
  const byFlag = new Map(known.map((option) => [normalizeFlag(option), option]));
  const flags = [...byFlag.keys()];
  const synonym = flags.includes(flag) ? { flag } : findFlagSynonym(flag, flags);
  if (synonym && "explanation" in synonym) return synonym.explanation;
  const candidates = [synonym?.flag ?? findNearest(flag, flags)].filter((x) => x !== undefined);
  if (candidates.length === 0)
    candidates.push(...flags.filter((option) => option.startsWith(`${flag}-`)));
  if (candidates.length === 0) return "";
  const names = candidates.map((candidate) => {
    const [option, value] = candidate.split(" ");
    return value ? `${byFlag.get(option)} ${value}` : byFlag.get(option);
  });
  return `did you mean ${names.join(" or ")}?`;
}

/** Converts --max_iters, -max-iters, maxIters and MAX-ITERS to max-iters. */
export function normalizeFlag(name: string): string {
  const bare = name.replace(/^-+/, "");
  const isCamelCase = /^[a-z]+[A-Z]/.test(bare) && !/[-_]/.test(bare);
  return (isCamelCase ? toFlag(bare) : bare).replaceAll("_", "-").toLowerCase();
}

/** Returns the known name with the smallest edit distance from `name`, unless all are too far. */
export function findNearest(name: string, known: readonly string[]): string | undefined {
  const ranked = known
    .map((candidate) => ({
      candidate,
      edits: editDistance(name.toLowerCase(), candidate.toLowerCase()),
    }))
    .sort((a, b) => a.edits - b.edits);
  const limit = name.length <= 3 ? 1 : Math.max(2, name.length / 3);
  return ranked[0]?.edits <= limit ? ranked[0].candidate : undefined;
}

/** Levenshtein distance (1966): the number of insertions, deletions and substitutions. */
function editDistance(a: string, b: string): number {
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
