// The processes that measure: programs of ours, and PyTorch's where Python has it.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Result } from "../child.ts";
import { torchVersion } from "../peers/sides.ts";

let found: boolean | undefined;

/** Whether Python has PyTorch, which takes seconds to find out; if not, says so once. */
export function hasTorch(): boolean {
  if (found !== undefined) return found;
  try {
    console.log(`PyTorch ${torchVersion()}`);
    found = true;
  } catch {
    console.log("skipped: PyTorch: Python has none");
    found = false;
  }
  return found;
}

/** What torch_gpt.py calls a type of numbers: its f32 is tf32 unless that is denied. */
export function torchType(dtype: string): string[] {
  if (dtype === "bf16") return ["--dtype", "bf16"];
  return ["--dtype", "f32", ...(dtype === "f32" ? ["--no-tf32"] : [])];
}

/** Runs a program of ours, named as seen from here, whose words go to the terminal. */
export async function runHere(
  program: string,
  words: string[],
  env: NodeJS.ProcessEnv = {},
): Promise<void> {
  const file = fileURLToPath(new URL(program, import.meta.url));
  const child = spawn(process.execPath, [file, ...words], {
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...process.env, ...env },
  });
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`${program} ${words.join(" ")}: exit code ${code}`);
}

/** The rows of the benchmark of kernels, of some models where they are named. */
export async function kernelRows(words: string[], models: string[]): Promise<Result[]> {
  return inFolder(async (folder) => {
    const json = join(folder, "rows.json");
    const env = models.length > 0 ? { TINYBARD_BENCH_MODELS: models.join() } : {};
    await runHere("../run.js", [...words, "--json", json], env);
    return JSON.parse(readFileSync(json, "utf8")).results;
  });
}

/** What `work` gives, which has a folder for as long as it takes. */
export async function inFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "tinybard-bench-"));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
