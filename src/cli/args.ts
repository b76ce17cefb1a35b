// Parses command-line arguments according to a table of options.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { UsageError } from "../errors.ts";
import { quoteArgument } from "../installation.ts";
import { checkValues, normalizeFlag, type OptionTable, toFlag, unknownOption } from "../options.ts";

/** An argument: an option with the value after `=` or in the next argument, or an operand. */
interface Argument {
  /** As it was written, such as --seed; undefined for an operand. */
  flag?: string;
  value?: string;
}

/**
 * Parses arguments into option values; of an option given twice, the last value counts. `operand`
 * is the option that a positional argument sets, if there is one, and if `hasManyOperands`, its
 * value is the list of all of them. Throws a UsageError for unknown, invalid and missing options.
 */
export function parseArguments(
  command: string,
  table: OptionTable,
  args: readonly string[],
  operand?: string,
  hasManyOperands = false,
): Record<string, unknown> {
  const keys = new Map(Object.keys(table).map((key) => [toFlag(key), key]));
  const values: Record<string, unknown> = {};
  const operands: unknown[] = [];
  for (const { flag, value } of tokenize(keys, table, args)) {
    const isTaken = operand !== undefined && values[operand] !== undefined && !hasManyOperands;
    if (flag === undefined && (operand === undefined || isTaken)) {
      const hint = suggestFlag(table, value ?? "");
      throw new UsageError(`${command}: unexpected argument ${value}; ${hint}`);
    }
    const [key, parsed] =
      flag === undefined
        ? [operand as string, value]
        : parseOption(command, keys, table, flag, value);
    if (key === operand && isTaken)
      throw new UsageError(`${command}: ${table[key].value} is given twice`);
    if (key === operand) operands.push(parsed);
    values[key] = parsed;
  }
  checkValues(table, values, command);
  checkRequired(command, table, values, operand);
  if (hasManyOperands && operand !== undefined) values[operand] = operands;
  return values;
}

/** Splits arguments into options, their values and operands. */
function* tokenize(
  keys: Map<string, string>,
  table: OptionTable,
  args: readonly string[],
): Generator<Argument> {
  // pnpm and yarn pass on the -- of `pnpm train -- --seed 1`
  for (let i = args[0] === "--" ? 1 : 0; i < args.length; i++) {
    const arg = args[i];
    if (!isOption(arg)) {
      yield { value: arg };
      continue;
    }
    const [, flag, inline] = /^([^=]*)(?:=([\s\S]*))?$/.exec(arg) as RegExpExecArray;
    const key = keys.get(flag.replace(/^--/, ""));
    const next = args[i + 1];
    const isBoolean = key !== undefined && table[key].type === "boolean";
    const isValue = isBoolean
      ? /^(true|false)$/i.test(next ?? "")
      : next !== undefined && !next.startsWith("--");
    if (inline === undefined && key !== undefined && isValue) {
      yield { flag, value: next };
      i++;
    } else {
      yield { flag, value: inline };
    }
  }
}

/** Returns true for --seed and -s, and false for -1, -.5, - and texts. */
function isOption(arg: string): boolean {
  return /^-[^\d.\s]/.test(arg);
}

/** Returns the key and the value of an option. */
function parseOption(
  command: string,
  keys: Map<string, string>,
  table: OptionTable,
  flag: string,
  value: string | undefined,
): [string, unknown] {
  const name = flag.startsWith("--") ? flag.slice(2) : "";
  const key = keys.get(name);
  if (key !== undefined) return [key, parseValue(command, table, key, flag, value)];
  const negated = name.startsWith("no-") ? keys.get(normalizeFlag(name.slice(3))) : undefined;
  if (negated !== undefined) {
    const positive = `--${toFlag(negated)}`;
    if (table[negated].type !== "boolean")
      throw new UsageError(`${command}: ${flag} does not exist: ${positive} takes a value`);
    if (value !== undefined)
      throw new UsageError(`${command}: ${flag} takes no value; write ${positive} or ${flag}`);
    return [negated, false];
  }
  const flags = [...keys.keys()].map((known) => `--${known}`);
  throw unknownOption(flag, flags, command);
}

function parseValue(
  command: string,
  table: OptionTable,
  key: string,
  flag: string,
  value: string | undefined,
): unknown {
  const { type, help } = table[key];
  if (type === "boolean") {
    if (value === undefined) return true;
    if (/^(true|false)$/i.test(value)) return value.toLowerCase() === "true";
    throw new UsageError(`${command}: ${flag} is ${value}, expected no value, true or false`);
  }
  if (value === undefined || value === "")
    throw new UsageError(`${command}: ${flag} needs a value: ${help}`);
  if (type === "string") return value;
  // checkValues() reports a string that is not a number
  return value.trim() === "" || Number.isNaN(Number(value)) ? value : Number(value);
}

/** Describes the option that a positional argument was probably meant for. */
function suggestFlag(table: OptionTable, value: string): string {
  const isRun = existsSync(join(value, "config.json"));
  const keys = isRun ? ["run", "resume"] : existsSync(value) ? ["data"] : ["prompt", "data"];
  const isNumber = !Number.isNaN(Number(value)); // the value of an option, which npm has kept
  const key = isNumber ? undefined : keys.find((candidate) => Object.hasOwn(table, candidate));
  if (key === undefined) return "options begin with --";
  return `did you mean --${toFlag(key)} ${quoteArgument(value)}?`;
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
