// The interface of a command, and the options that several commands have.

import { listTextNames } from "../data/corpus.ts";
import type { OptionSpec, OptionTable } from "../options.ts";
import { trainOptions } from "../train/config.ts";

export interface Command<Flags = object> {
  /** One line for the list of commands. */
  summary: string;
  options: OptionTable;
  /** The option that a positional argument sets. */
  operand?: string;
  /** True if several positional arguments set it to a list. */
  hasManyOperands?: boolean;
  /** True if run() gets only the flags that are present and applies the defaults itself. */
  appliesDefaults?: boolean;
  /** True if the result is in files: the command goes on if nobody reads its output any more. */
  writesFiles?: boolean;
  /** Describes the defaults that depend on the machine, for --help with these arguments. */
  describeDefaults?(args: readonly string[]): { note: string; values: object };
  /** Runs the command and returns the exit code. */
  run(flags: Flags): Promise<number>;
}

export const deviceOption = trainOptions.device;

const hasMobyDick = listTextNames().includes("moby-dick"); // not in an installed package

const SHARDS = "token shards: a folder or 'DIR/*.bin'";

export const trainingDataOption: OptionSpec = {
  ...trainOptions.data,
  help:
    `training text: a file, ${listTextNames().join(" or ")}; or ${SHARDS} ` +
    `(default: $TINYBARD_DATA, then shakespeare if cached${hasMobyDick ? ", then moby-dick" : ""})`,
};

/** The data to evaluate on; by default those of the run. */
export const dataOption = {
  type: "string",
  help:
    `evaluation text: a file, ${listTextNames().join(" or ")}; or ${SHARDS} ` +
    "(default: the run's own)",
  value: "FILE|NAME|DIR",
} as const;
