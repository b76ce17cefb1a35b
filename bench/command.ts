// What the programs of this folder share: options by the table of the command line, processes of
// their own for what is measured, and files.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg } from "node:os";
import { dirname } from "node:path";
import { createInterface } from "node:readline";
import { formatHelp, parseArguments } from "#src/cli/args.js";
import { fail, UsageError } from "#src/errors.js";
import { getDefaults, type OptionSpec, type OptionTable } from "#src/options.js";

/**
 * The words before the first option, and the options, with their defaults. Prints the help that the
 * table makes if asked for it.
 */
export function readOptions<T>(usage: string, table: OptionTable): { words: string[]; options: T } {
  const all = process.argv.slice(2);
  if (all.includes("--help")) {
    console.log(formatHelp(`usage: ${usage}`, table));
    process.exit();
  }
  const first = all.findIndex((word) => word.startsWith("--"));
  const words = all.slice(0, first < 0 ? all.length : first);
  const given = parseArguments("bench", table, all.slice(words.length)) as Partial<T>;
  return { words, options: { ...getDefaults<T>(table), ...given } };
}

const cores = Math.min(availableParallelism(), 256);
/** The option for threads: as many as the machine runs at once. */
export const threads: OptionSpec = {
  type: "integer",
  help: "threads on cpu",
  default: cores,
  min: 1,
  max: 256,
  value: "N",
};

/** What figures were measured on. */
export const machine = { processor: cpus()[0]?.model, cores, node: process.version };

/** Runs a program; a mistake in how it was called ends it with 2, any other error with 1. */
export async function run(program: () => Promise<void>): Promise<void> {
  try {
    await program();
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  }
}

/** The objects that a process prints, a line of JSON each; throws what it said if it fails. */
export async function* jsonLines<T>(
  command: string,
  words: string[],
  env: NodeJS.ProcessEnv = {},
): AsyncGenerator<T> {
  const settings = { ...process.env, ...env };
  const child = spawn(command, words, { stdio: ["ignore", "pipe", "pipe"], env: settings });
  const ended = once(child, "close");
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  for await (const line of createInterface(child.stdout)) yield JSON.parse(line) as T;
  const [code, signal] = await ended;
  if (code !== 0) throw new Error(`${said.trim() || command} (exit code ${code ?? signal})`);
}

/** The last of them, once the process has ended. */
export async function last<T>(lines: AsyncGenerator<T>): Promise<T> {
  const all: T[] = [];
  for await (const line of lines) all.push(line);
  return all.at(-1) ?? fail("a process printed nothing");
}

/** Says so if somebody else uses the processor: what is measured beside them is worth little. */
export function warnIfBusy(): void {
  const [load] = loadavg();
  const warning = "another process is busy, or was a minute ago: the figures will be off";
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
