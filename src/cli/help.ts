// Formats the help text of a command from its table of options.

import { type OptionTable, toFlag } from "../options.ts";

/**
 * Formats the help text of a command, with one entry for each option. `defaults` are values that
 * replace those of the table.
 */
export function formatHelp(usage: string, table: OptionTable, defaults: object = {}): string {
  const shown = defaults as Record<string, unknown>;
  const rows = Object.entries(table).map(([key, option]) => {
    const { type, help, choices, required } = option;
    const own = key in shown ? shown[key] : option.default;
    const value = own === Infinity ? undefined : own; // no limit
    const placeholder = type === "boolean" ? "" : ` ${option.value ?? choices?.join("|") ?? "X"}`;
    // a computed default replaces the one in the help text
    let description = value === undefined ? help : help.replace(/ \(default: [^)]*\)$/, "");
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
