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
import { formatHelp } from "./help.ts";
import { checkNpmOptions } from "./npm.ts";
import { catchOutputErrors, ignoreClosedOutput } from "./output.ts";
import { endOtherRank, exitCodeOf, formatError, isOtherRank } from "./ranks.ts";

/** The commands. Only the one that runs is loaded, because the program starts faster so. */
const commands: Record<string, () => Promise<Command>> = {
  train: async () => (await import("./train.ts")).trainCommand,
  sample: async () => (await import("./sample.ts")).sampleCommand,
  eval: async () => (await import("./eval.ts")).evalCommand,
  runs: async () => (await import("./runs.ts")).runsCommand,
  import: async () => (await import("./import.ts")).importCommand,
  export: async () => (await import("./export.ts")).exportCommand,
  quantize: async () => (await import("./quantize.ts")).quantizeCommand,
  prepare: async () => (await import("./prepare.ts")).prepareCommand,
  dashboard: async () => (await import("./dashboard.ts")).dashboardCommand,
  tune: async () => (await import("./tune.ts")).tuneCommand,
  doctor: async () => (await import("./doctor.ts")).doctorCommand,
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
    console.log(await formatCommands());
    return name === undefined ? 2 : 0;
  }
  if (["version", "--version", "-v", "-V"].includes(name)) {
    console.log(readVersion());
    return 0;
  }
  if (hasHelp) return help(name, args);
  if (name === "bench") return runBench(args);
  const command = await findCommand(name);
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
  const command = await findCommand(name);
  const options = { ...command.options, ...commonOptions };
  const { note = "", values = {} } = command.describeDefaults?.(args) ?? {};
  const operand = command.operand ? ` [${options[command.operand].value}]` : "";
  const usage = `usage: tinybard ${name}${operand} [options]`;
  console.log(formatHelp(note ? `${usage}\n\n${note}` : usage, options, values));
  return 0;
}

async function findCommand(name: string): Promise<Command> {
  if (Object.hasOwn(commands, name)) return commands[name]();
  const known = Object.keys(commands);
  if (name.startsWith("-"))
    throw new UsageError(`${name} comes before the command; usage: tinybard COMMAND [options]`);
  const nearest = commandSynonyms[name] ?? findNearest(name, known);
  const hint = nearest ? `did you mean ${nearest}?` : `expected ${known.join(", ")}`;
  throw new UsageError(`unknown command ${name}; ${hint}`);
}

async function formatCommands(): Promise<string> {
  const lines: string[] = [];
  for (const [name, load] of Object.entries(commands))
    lines.push(`  ${name.padEnd(11)}${(await load()).summary}`);
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
  if (isOtherRank()) {
    process.exitCode = await endOtherRank(error);
  } else {
    console.error(`tinybard: ${formatError(error)}`);
    process.exitCode = exitCodeOf(error);
  }
}
