// The CUDA addon is not built when the package is installed: where there is a GPU and a compiler
// for it, the first training builds it.

import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const path = (file: string) => fileURLToPath(new URL(`../../${file}`, import.meta.url));

/** Builds the CUDA addon where it is missing and can be built; what fails is tried but once. */
export async function buildCudaOnce(say: (line: string) => unknown): Promise<void> {
  const traces = ["build-cuda/Release/cuda.node", "build-cuda/build.log"]; // whatever came of it
  const isTried = traces.some((file) => existsSync(path(file)));
  if (isTried || process.env.TINYBARD_CUDA === "skip" || process.env.TINYBARD_CUDA_ADDON) return;
  if (!existsSync(path("scripts/cuda.cjs")) || gpuHere() === null) return;
  if (compilerHere() === null) {
    say("cuda: there is a GPU, but no compiler for it (nvcc): install the CUDA toolkit");
    return;
  }
  say("cuda: building the CUDA addon, this once (some minutes; TINYBARD_CUDA=skip refuses)");
  const child = spawn(process.execPath, [path("scripts/cuda.cjs")], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => say(`cuda: ${text.trim()}`));
  const start = performance.now();
  const clock = setInterval(() => {
    say(`cuda: still building, ${Math.round((performance.now() - start) / 1000)} s`);
  }, 20_000);
  await new Promise((done) => child.on("close", done));
  clearInterval(clock);
}

/** The name of the first GPU, null if none is listed. */
export function gpuHere(): string | null {
  return said("nvidia-smi", "-L", /^GPU 0: (.*?) \(UUID/m);
}

/** The version of the CUDA compiler, on the path or where toolkits are installed; null: none. */
export function compilerHere(): string | null {
  const version = (nvcc: string) => said(nvcc, "--version", /release ([\d.]+)/);
  return version("nvcc") ?? version("/usr/local/cuda/bin/nvcc");
}

/** What a command prints at a place; null where there is no such command. */
function said(command: string, word: string, place: RegExp): string | null {
  const { stdout } = spawnSync(command, [word], { encoding: "utf8" });
  return place.exec(stdout ?? "")?.[1] ?? null;
}
