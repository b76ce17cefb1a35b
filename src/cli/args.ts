// The command line: words to values by a table of options, and the help that the table makes.

import { parseArgs } from "node:util";
import { UsageError } from "../errors.ts";
import { checkValues, type OptionTable, toFlag, unknownOption } from "../options.ts";

/**
 * The values of flags, each as its option in the table says; a word that is no flag is the value of
 * the option `operand`. Throws a UsageError.
 */
export function parse(
  command: string,
  table: OptionTable,
  words: readonly string[],
  operand?: string,
): Record<string, unknown> {
  const keys = new Map(Object.keys(table).map((key) => [toFlag(key), key]));
  const options = Object.fromEntries(
    [...keys].map(([flag, key]) => [flag, { type: kindOf(table, key) }] as const),
  );
  const args = words.map((word) => word);
  const { tokens } = parseArgs({
    args,
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const values: Record<string, unknown> = {};
  for (const token of tokens) {
    if (token.kind === "positional" && operand && values[operand] === undefined) {
      values[operand] = token.value;
      continue;
    }
    if (token.kind === "positional")
      throw new UsageError(`${command}: ${token.value} is no option; options begin with --`);
    if (token.kind !== "option") continue;
    const denied = token.name.startsWith("no-") ? keys.get(token.name.slice(3)) : undefined;
    const key = keys.get(token.name) ?? denied;
    if (key === undefined || (denied && table[denied].type !== "boolean"))
      throw unknownOption(
        token.rawName,
        [...keys.keys()].map((flag) => `--${flag}`),
        command,
      );
    values[key] = denied ? false : read(command, table, key, token.rawName, token.value);
  }
  checkValues(table, values, command);
  return values;
}

function kindOf(table: OptionTable, key: string): "boolean" | "string" {
  return table[key].type === "boolean" ? "boolean" : "string";
}

function read(
  command: string,
  table: OptionTable,
  key: string,
  flag: string,
  value: string | undefined,
): unknown {
  const { type } = table[key];
  if (type === "boolean") {
    if (value === undefined) return true;
    if (value === "true" || value === "false") return value === "true";
    throw new UsageError(`${command}: ${flag} is ${value}, expected nothing, true or false`);
  }
  if (value === undefined || value === "")
    throw new UsageError(`${command}: ${flag} needs a value`);
  if (type === "string") return value;
  // checkValues() names what is none
  return value.trim() === "" || Number.isNaN(Number(value)) ? value : Number(value);
}

/** The options of a table, a line each. */
export function help(usage: string, table: OptionTable): string {
  const rows = Object.entries(table).map(([key, option]) => {
    const value =
      option.type === "boolean" ? "" : ` ${option.value ?? option.choices?.join("|") ?? "X"}`;
    const shown = option.default === undefined ? "" : ` (${option.default})`;
    const choices = option.choices ? `: ${option.choices.join(", ")}` : "";
    return [`  --${toFlag(key)}${value}`, option.help + choices + shown];
  });
  const width = Math.max(...rows.map(([left]) => left.length)) + 2;
  const lines = rows.map(([left, right]) => left.padEnd(width) + wrap(right, 100 - width, width));
  return [usage, "", ...lines].join("\n");
}

/** Text in lines of at most `columns`, all but the first indented. */
function wrap(text: string, columns: number, indent: number): string {
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = lines[lines.length - 1];
    if (line && line.length + 1 + word.length > columns) lines.push(word);
    else lines[lines.length - 1] = line ? `${line} ${word}` : word;
  }
  return lines.join(`\n${" ".repeat(indent)}`);
}
