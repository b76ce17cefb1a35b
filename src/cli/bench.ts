// tinybard bench: runs the kernel benchmark, a separate program with options of its own.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Runs the benchmark with unparsed arguments, and returns its exit code. */
export async function runBench(args: string[]): Promise<number> {
  const program = fileURLToPath(new URL("../bench/run.js", import.meta.url));
  if (!existsSync(program))
    throw new Error("bench: the benchmark is not built (run: npm run bench)");
  const child = spawn(process.execPath, [program, ...args], { stdio: "inherit" });
  return new Promise((resolve) => child.on("close", (code) => resolve(code ?? 1)));
}
