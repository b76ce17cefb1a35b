// Reads JSON files. They may have been edited by hand, damaged, or made to do harm, so every reader
// of JSON in this program goes through this one.

import { escapeControls } from "../errors.ts";
import { FileError, readText } from "./text.ts";

/** The size limit of files that people write, such as config.json, in bytes. */
export const MAX_CONFIG_BYTES = 2 ** 20;

/** The size limit of files whose size depends on a vocabulary or on a model, in bytes. */
export const MAX_TABLE_BYTES = 256 * 2 ** 20;

/**
 * Reads a JSON file in UTF-8, with or without a byte order mark. Throws a FileError that names the
 * file, and where possible the line and the column, if it is not a regular file, is larger than
 * `maxBytes`, or is not JSON.
 */
export function readJSON(file: string, maxBytes = MAX_CONFIG_BYTES): unknown {
  const text = readText(file, maxBytes);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new FileError(`${file}: ${describeSyntaxError(text, cause as Error)}`, { cause });
  }
}

/** Reads a JSON file like readJSON(). Throws a FileError if it does not hold an object. */
export function readJSONObject(file: string, maxBytes = MAX_CONFIG_BYTES): Record<string, unknown> {
  const value = readJSON(file, maxBytes);
  if (isObject(value)) return value;
  throw new FileError(`${file}: not a JSON object`);
}

/** Returns true for the value of a JSON object, that is, not for a list or null. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Describes why JSON.parse() failed. V8's messages have a position or an excerpt of the text. */
function describeSyntaxError(text: string, { message }: Error): string {
  if (text === "") return "empty, expected JSON";
  if (text.slice(0, 4).includes("\0"))
    return "not JSON: it has NUL bytes, as text in UTF-16 does; save it as UTF-8";
  const [, position] = / at position (\d+)/.exec(message) ?? [];
  const where = position === undefined ? "" : ` (${formatPosition(text, Number(position))})`;
  const reason = message.replace(/ at position \d+.*/s, "");
  return `not valid JSON: ${escapeControls(reason)}${where}`; // it may have an excerpt of the file
}

/** Formats a position in a text: line 3, column 14. */
function formatPosition(text: string, position: number): string {
  const lines = text.slice(0, position).split("\n");
  return `line ${lines.length}, column ${(lines.at(-1) as string).length + 1}`;
}
