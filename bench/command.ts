// Shared by the programs of this folder: command-line options, child processes that print JSON, and
// statistics.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg } from "node:os";
import { dirname } from "node:path";
import { createInterface } from "node:readline";
import { parseArguments } from "#src/cli/args.js";
import { formatHelp } from "#src/cli/help.js";
import { fail, UsageError } from "#src/errors.js";
import { getDefaults, type OptionSpec, type OptionTable } from "#src/options.js";

/**
 * Returns the arguments before the first option, and the options with their defaults. With --help,
 * prints the help text and exits.
 */
export function readOptions<T>(usage: string, table: OptionTable): { args: string[]; options: T } {
  const all = process.argv.slice(2);
  if (all.includes("--help")) {
    console.log(formatHelp(`usage: ${usage}`, table));
    process.exit();
  }
  const first = all.findIndex((arg) => arg.startsWith("--"));
  const args = all.slice(0, first < 0 ? all.length : first);
  const explicit = parseArguments("bench", table, all.slice(args.length)) as Partial<T>;
  return { args, options: { ...getDefaults<T>(table), ...explicit } };
}

const cores = Math.min(availableParallelism(), 256);
/** The option --threads. Its default is the number of cores. */
export const threads: OptionSpec = {
  type: "integer",
  help: "threads on cpu",
  default: cores,
  min: 1,
  max: 256,
  value: "N",
};

/** The machine of the measurements. */
export const machine = { processor: cpus()[0]?.model, cores, node: process.version };

/** Runs a program. Exits with 2 after a usage error, and with 1 after any other error. */
export async function run(program: () => Promise<void>): Promise<void> {
  try {
    await program();
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  }
}

/** Runs a process and yields the JSON lines that it prints. Throws its stderr if it fails. */
export async function* readJSONLines<T>(
  command: string,
  args: string[],
  env: NodeJS.ProcessEnv = {},
): AsyncGenerator<T> {
  const child = spawn(command, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  const closed = once(child, "close");
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  for await (const line of createInterface(child.stdout)) yield JSON.parse(line) as T;
  const [code, signal] = await closed;
  if (code !== 0) throw new Error(`${stderr.trim() || command} (exit code ${code ?? signal})`);
}

/** Returns the last line of a process, after it has ended. */
export async function getLast<T>(lines: AsyncGenerator<T>): Promise<T> {
  const all: T[] = [];
  for await (const line of lines) all.push(line);
  return all.at(-1) ?? fail("a process printed nothing");
}

/** Prints the load average, with a warning if other processes disturb the measurement. */
export function warnIfBusy(): void {
  const [load] = loadavg();
  const warning = "other processes are running or were until recently: results will be inaccurate";
  console.log(`load average ${load.toFixed(2)}${load > 0.5 ? `: ${warning}` : ""}`);
}

export function writeJSON(file: string, value: unknown): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(value, null, 2)}\n`);
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, x) => sum + Math.log(x), 0) / values.length);
}
