// Runs benchmark programs of tinybard and, if it is installed, of PyTorch.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Result } from "../child.ts";
import { getTorchVersion } from "../peers/processes.ts";

let isTorchAvailable: boolean | undefined;

/** Returns true if PyTorch is installed. The first call checks it, which takes seconds. */
export function hasTorch(): boolean {
  if (isTorchAvailable !== undefined) return isTorchAvailable;
  try {
    console.log(`PyTorch ${getTorchVersion()}`);
    isTorchAvailable = true;
  } catch {
    console.log("skipped: PyTorch is not installed");
    isTorchAvailable = false;
  }
  return isTorchAvailable;
}

/** Returns the options of torch_gpt.py for a dtype. Its f32 is tf32 unless --no-tf32 is passed. */
export function getTorchDType(dtype: string): string[] {
  if (dtype === "bf16") return ["--dtype", "bf16"];
  return ["--dtype", "f32", ...(dtype === "f32" ? ["--no-tf32"] : [])];
}

/** Runs a compiled program, with its path relative to this file. It prints to the terminal. */
export async function runProgram(
  program: string,
  args: string[],
  env: NodeJS.ProcessEnv = {},
): Promise<void> {
  const file = fileURLToPath(new URL(program, import.meta.url));
  const child = spawn(process.execPath, [file, ...args], {
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...process.env, ...env },
  });
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`${program} ${args.join(" ")}: exit code ${code}`);
}

/** Runs the kernel benchmark, for the named models or the default ones, and returns its rows. */
export async function measureKernels(args: string[], models: string[]): Promise<Result[]> {
  return withTempFolder(async (folder) => {
    const json = join(folder, "rows.json");
    const env = models.length > 0 ? { TINYBARD_BENCH_MODELS: models.join() } : {};
    await runProgram("../run.js", [...args, "--json", json], env);
    return JSON.parse(readFileSync(json, "utf8")).results;
  });
}

/** Calls a function with a temporary folder, which is deleted afterwards. */
export async function withTempFolder<T>(fn: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "tinybard-bench-"));
  try {
    return await fn(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
