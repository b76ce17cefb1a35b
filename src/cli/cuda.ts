// The CUDA addon is not built when the package is installed: where there is a GPU and a compiler
// for it, the first training builds it.

import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const path = (file: string) => fileURLToPath(new URL(`../../${file}`, import.meta.url));

/** Builds the CUDA addon where it is missing and can be built; what fails is tried but once. */
export async function buildCudaOnce(say: (line: string) => unknown): Promise<void> {
  const isTried = existsSync(path("build-cuda/build.log")); // whatever came of it
  if (isTried || process.env.TINYBARD_CUDA === "skip" || process.env.TINYBARD_CUDA_ADDON) return;
  if (!existsSync(path("scripts/cuda.cjs")) || !answers("nvidia-smi", "-L", /GPU 0/)) return;
  if (!answers("nvcc", "--version") && !existsSync("/usr/local/cuda/bin/nvcc")) {
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

/** Does a command work, and say what is expected? */
function answers(command: string, word: string, expected = /./): boolean {
  const { status, stdout } = spawnSync(command, [word], { encoding: "utf8" });
  return status === 0 && expected.test(stdout);
}
