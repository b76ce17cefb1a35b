// tinybard bench: runs the kernel benchmark, a separate program with options of its own. It is part
// of a clone of the repository, not of the package.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { isDependency } from "../installation.ts";

/** Runs the benchmark with unparsed arguments, and returns its exit code. */
export async function runBench(args: string[]): Promise<number> {
  const program = fileURLToPath(new URL("../bench/run.js", import.meta.url));
  if (!existsSync(program)) {
    const commandLine = `npm run bench -- ${args.join(" ") || "--help"}`;
    const message = isDependency
      ? `bench: not part of the installed package; in a clone of the repository: ${commandLine}`
      : `bench: not compiled yet; to compile and run it: ${commandLine}`;
    if (!args.includes("--help")) throw new Error(message);
    console.log(message);
    return 0;
  }
  const child = spawn(process.execPath, [program, ...args], { stdio: "inherit" });
  return new Promise((resolve) => child.on("close", (code) => resolve(code ?? 1)));
}
