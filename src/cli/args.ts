// Parses command-line arguments according to a table of options, and formats the table for --help.

import { parseArgs } from "node:util";
import { UsageError } from "../errors.ts";
import { checkValues, type OptionTable, toFlag, unknownOption } from "../options.ts";

/**
 * Parses arguments into option values. `operand` is the option that a positional argument sets, if
 * there is one. Throws a UsageError for unknown, invalid and missing options.
 */
export function parseArguments(
  command: string,
  table: OptionTable,
  args: readonly string[],
  operand?: string,
): Record<string, unknown> {
  const keys = new Map(Object.keys(table).map((key) => [toFlag(key), key]));
  const values: Record<string, unknown> = {};
  for (const token of tokenize(keys, table, args)) {
    if (token.kind === "positional") {
      if (!operand || values[operand] !== undefined)
        throw new UsageError(
          `${command}: unexpected argument ${token.value}; options begin with --`,
        );
      values[operand] = token.value;
    } else if (token.kind === "option") {
      const negated = token.name.startsWith("no-") ? keys.get(token.name.slice(3)) : undefined;
      const key = keys.get(token.name) ?? negated;
      if (key === undefined || (negated && table[negated].type !== "boolean")) {
        const flags = [...keys.keys()].map((flag) => `--${flag}`);
        throw unknownOption(token.rawName, flags, command);
      }
      values[key] = negated ? false : parseValue(command, table, key, token.rawName, token.value);
    }
  }
  checkValues(table, values, command);
  checkRequired(command, table, values, operand);
  return values;
}

/** Splits arguments into flags, their values and positional arguments. */
function tokenize(keys: Map<string, string>, table: OptionTable, args: readonly string[]) {
  const options: Record<string, { type: "boolean" | "string" }> = {};
  for (const [flag, key] of keys)
    options[flag] = { type: table[key].type === "boolean" ? "boolean" : "string" };
  const { tokens } = parseArgs({
    args: [...args],
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  return tokens;
}

function parseValue(
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
    throw new UsageError(`${command}: ${flag} is ${value}, expected no value, true or false`);
  }
  if (value === undefined || value === "")
    throw new UsageError(`${command}: ${flag} needs a value`);
  if (type === "string") return value;
  // checkValues() reports a string that is not a number
  return value.trim() === "" || Number.isNaN(Number(value)) ? value : Number(value);
}

function checkRequired(
  command: string,
  table: OptionTable,
  values: Record<string, unknown>,
  operand?: string,
): void {
  for (const [key, { required, value, help }] of Object.entries(table)) {
    if (!required || values[key] !== undefined) continue;
    const name = key === operand ? value : `--${toFlag(key)} ${value}`;
    throw new UsageError(`${command}: ${name} is required: ${help}`);
  }
}

/** Formats the help text of a command, with one entry for each option. */
export function formatHelp(usage: string, table: OptionTable): string {
  const rows = Object.entries(table).map(([key, option]) => {
    const { type, help, choices, default: value, required } = option;
    const placeholder = type === "boolean" ? "" : ` ${option.value ?? choices?.join("|") ?? "X"}`;
    let description = help;
    if (choices) description += `: ${choices.join(", ")}`;
    if (required) description += " (required)";
    if (value === true) description += ` (default: true; --no-${toFlag(key)} turns it off)`;
    else if (value !== undefined) description += ` (default: ${value})`;
    return [`  --${toFlag(key)}${placeholder}`, description];
  });
  const width = Math.max(...rows.map(([flag]) => flag.length)) + 2;
  const lines = rows.map(
    ([flag, description]) => flag.padEnd(width) + wrap(description, 100 - width, width),
  );
  return [usage, "", ...lines].join("\n");
}

/** Breaks a text into lines of at most `columns`, and indents all lines but the first. */
function wrap(text: string, columns: number, indent: number): string {
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = lines[lines.length - 1];
    if (line && line.length + 1 + word.length > columns) lines.push(word);
    else lines[lines.length - 1] = line ? `${line} ${word}` : word;
  }
  return lines.join(`\n${" ".repeat(indent)}`);
}
