// tinybard bench: the benchmark of all kernels, which is a program of its own.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Runs it with the words as they were given. */
export async function bench(words: string[]): Promise<number> {
  const program = fileURLToPath(new URL("../bench/run.js", import.meta.url));
  if (!existsSync(program))
    throw new Error("bench: it has not been built; npm run bench builds it");
  const child = spawn(process.execPath, [program, ...words], { stdio: "inherit" });
  return new Promise((done) => child.on("close", (code) => done(code ?? 1)));
}
