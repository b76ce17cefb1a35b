#!/usr/bin/env node
// The program: parses a command and its options, and runs it. Exit codes: 0 success, 1 failure,
// 2 usage error, 129 (SIGHUP), 130 (SIGINT), 143 (SIGTERM), 149 (SIGBREAK) and 141 (stdout closed)
// interrupted.

import { setThreads } from "../backend/devices.ts";
import { UsageError } from "../errors.ts";
import { readVersion } from "../installation.ts";
import { findNearest, getDefaults, type OptionTable } from "../options.ts";
import { parseArguments } from "./args.ts";
import { runBench } from "./bench.ts";
import type { Command } from "./command.ts";
import { dashboardCommand } from "./dashboard.ts";
import { doctorCommand } from "./doctor.ts";
import { evalCommand } from "./eval.ts";
import { exportCommand } from "./export.ts";
import { formatHelp } from "./help.ts";
import { importCommand } from "./import.ts";
import { checkNpmOptions } from "./npm.ts";
import { catchOutputErrors, ignoreClosedOutput } from "./output.ts";
import { prepareCommand } from "./prepare.ts";
import { quantizeCommand } from "./quantize.ts";
import { exitCodeOf, formatError, isOtherRank } from "./ranks.ts";
import { runsCommand } from "./runs.ts";
import { sampleCommand } from "./sample.ts";
import { trainCommand } from "./train.ts";
import { tuneCommand } from "./tune.ts";

const commands: Record<string, Command> = {
  train: trainCommand,
  sample: sampleCommand,
  eval: evalCommand,
  runs: runsCommand,
  import: importCommand,
  export: exportCommand,
  quantize: quantizeCommand,
  prepare: prepareCommand,
  dashboard: dashboardCommand,
  tune: tuneCommand,
  doctor: doctorCommand,
};

/** Names of commands in other programs. */
const commandSynonyms: Record<string, string> = {
  generate: "sample",
  run: "sample",
  infer: "sample",
  evaluate: "eval",
  list: "runs",
  ls: "runs",
  devices: "doctor",
  info: "doctor",
  resume: "train --resume DIR",
  finetune: "train --init-from DIR",
  tokenize: "prepare",
};

/** The options of every command. */
const commonOptions: OptionTable = {
  threads: {
    type: "integer",
    help: "threads of the kernels (default: TINYBARD_THREADS, or one per core)",
    min: 1,
    max: 256,
    value: "N",
  },
};

async function main([name, ...args]: string[]): Promise<number> {
  const hasHelp = args.some((arg) => arg === "--help" || arg === "-h");
  if (isOtherRank() && (name !== "train" || hasHelp)) return 0; // rank 0 does it
  if (name === undefined || isHelp(name)) {
    const [topic] = args;
    if (name === "help" && topic !== undefined && !topic.startsWith("-")) return help(topic, []);
    console.log(formatCommands());
    return name === undefined ? 2 : 0;
  }
  if (["version", "--version", "-v", "-V"].includes(name)) {
    console.log(readVersion());
    return 0;
  }
  if (hasHelp) return help(name, args);
  if (name === "bench") return runBench(args);
  const command = findCommand(name);
  const options = { ...command.options, ...commonOptions };
  checkNpmOptions(name, options, args);
  const { operand, hasManyOperands } = command;
  const { threads, ...flags } = parseArguments(name, options, args, operand, hasManyOperands);
  if (typeof threads === "number") setThreads(threads);
  const defaults = command.appliesDefaults ? {} : getDefaults<object>(command.options);
  if (command.writesFiles) ignoreClosedOutput();
  return command.run({ ...defaults, ...flags });
}

function isHelp(name: string): boolean {
  return ["help", "--help", "-h"].includes(name);
}

/** Prints the help text of a command. */
async function help(name: string, args: string[]): Promise<number> {
  if (name === "bench") return runBench(["--help"]);
  const command = findCommand(name);
  const options = { ...command.options, ...commonOptions };
  const { note = "", values = {} } = command.describeDefaults?.(args) ?? {};
  const operand = command.operand ? ` [${options[command.operand].value}]` : "";
  const usage = `usage: tinybard ${name}${operand} [options]`;
  console.log(formatHelp(note ? `${usage}\n\n${note}` : usage, options, values));
  return 0;
}

function findCommand(name: string): Command {
  if (Object.hasOwn(commands, name)) return commands[name];
  const known = Object.keys(commands);
  if (name.startsWith("-"))
    throw new UsageError(`${name} comes before the command; usage: tinybard COMMAND [options]`);
  const nearest = commandSynonyms[name] ?? findNearest(name, known);
  const hint = nearest ? `did you mean ${nearest}?` : `expected ${known.join(", ")}`;
  throw new UsageError(`unknown command ${name}; ${hint}`);
}

function formatCommands(): string {
  const lines = Object.entries(commands).map(
    ([name, { summary }]) => `  ${name.padEnd(11)}${summary}`,
  );
  return [
    "usage: tinybard COMMAND [options]",
    "",
    ...lines,
    `  ${"bench".padEnd(11)}benchmark all kernels`,
    "",
    "tinybard COMMAND --help lists the options of a command, tinybard --version the version.",
  ].join("\n");
}

catchOutputErrors();
process.removeAllListeners("warning"); // Node's own format has the number of the process
process.on("warning", ({ message }) => {
  if (!isOtherRank()) console.error(`warning: ${message}`);
});
try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const isReported = isOtherRank(); // rank 0 has the same error
  if (!isReported) console.error(`tinybard: ${formatError(error)}`);
  process.exitCode = isReported ? 0 : exitCodeOf(error);
}
