#!/usr/bin/env node
// The program: parses a command and its options, and runs it. Exit codes: 0 success, 1 failure,
// 2 usage error, 130 (SIGINT) and 143 (SIGTERM) interrupted.

import { setThreads } from "../backend/devices.ts";
import { UsageError } from "../errors.ts";
import { findNearest, getDefaults, type OptionTable } from "../options.ts";
import { formatHelp, parseArguments } from "./args.ts";
import { runBench } from "./bench.ts";
import type { Command } from "./command.ts";
import { dashboardCommand } from "./dashboard.ts";
import { doctorCommand } from "./doctor.ts";
import { evalCommand } from "./eval.ts";
import { exportCommand } from "./export.ts";
import { importCommand } from "./import.ts";
import { quantizeCommand } from "./quantize.ts";
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
  dashboard: dashboardCommand,
  tune: tuneCommand,
  doctor: doctorCommand,
};

/** The options of every command. */
const commonOptions: OptionTable = {
  threads: {
    type: "integer",
    help: "threads of the cpu device (default: one per core)",
    min: 1,
    max: 256,
    value: "N",
  },
};

async function main([name, ...args]: string[]): Promise<number> {
  if (name === undefined || name === "--help" || name === "help") {
    console.log(formatCommands());
    return name === undefined ? 2 : 0;
  }
  if (name === "bench") return runBench(args);
  if (!Object.hasOwn(commands, name)) {
    const nearest = findNearest(name, Object.keys(commands));
    throw new UsageError(`unknown command ${name}${nearest ? `; did you mean ${nearest}?` : ""}`);
  }
  const command = commands[name];
  const options = { ...command.options, ...commonOptions };
  if (args.includes("--help")) {
    const operand = command.operand ? ` ${options[command.operand].value}` : "";
    console.log(formatHelp(`usage: tinybard ${name}${operand} [options]`, options));
    return 0;
  }
  const { threads, ...flags } = parseArguments(name, options, args, command.operand);
  if (typeof threads === "number") setThreads(threads);
  const defaults = command.appliesDefaults ? {} : getDefaults<object>(command.options);
  return command.run({ ...defaults, ...flags });
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
    "tinybard COMMAND --help lists the options of a command.",
  ].join("\n");
}

process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0); // the reader, such as head, has closed the pipe
  throw error;
});
try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const { message, stack } = error as Error;
  console.error(`tinybard: ${process.env.TINYBARD_DEBUG ? stack : message}`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
