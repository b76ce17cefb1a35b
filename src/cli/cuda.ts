// Builds the CUDA addon on demand. Installing the package does not build it; on a machine with a
// GPU and nvcc, the first training run does.

import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const toPath = (file: string) => fileURLToPath(new URL(`../../${file}`, import.meta.url));

/** Builds the CUDA addon if it is missing and the machine can build it. Never retries. */
export async function buildCudaOnce(print: (line: string) => unknown): Promise<void> {
  const results = ["build-cuda/Release/cuda.node", "build-cuda/build.log"];
  const wasTried = results.some((file) => existsSync(toPath(file)));
  if (wasTried || process.env.TINYBARD_CUDA === "skip" || process.env.TINYBARD_CUDA_ADDON) return;
  const script = toPath("scripts/cuda.cjs");
  if (!existsSync(script) || findGPU() === null) return;
  if (findNvccVersion() === null) {
    print("cuda: found a GPU, but no CUDA compiler (nvcc): install the CUDA toolkit");
    return;
  }
  print("cuda: building the CUDA addon (once; takes a few minutes; TINYBARD_CUDA=skip skips it)");
  const child = spawn(process.execPath, [script], { stdio: ["ignore", "pipe", "pipe"] });
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => print(`cuda: ${text.trim()}`));
  const start = performance.now();
  const timer = setInterval(() => {
    print(`cuda: still building, ${Math.round((performance.now() - start) / 1000)} s`);
  }, 20_000);
  await new Promise((resolve) => child.on("close", resolve));
  clearInterval(timer);
}

/** Returns the name of the first GPU; null if nvidia-smi lists none. */
export function findGPU(): string | null {
  return matchOutput("nvidia-smi", "-L", /^GPU 0: (.*?) \(UUID/m);
}

/** Returns the number of GPUs that nvidia-smi lists. */
export function countGPUs(): number {
  const { stdout } = spawnSync("nvidia-smi", ["-L"], { encoding: "utf8" });
  return stdout?.match(/^GPU \d+:/gm)?.length ?? 0;
}

/** Returns the version of nvcc on the PATH or in /usr/local/cuda; null if there is none. */
export function findNvccVersion(): string | null {
  const getVersion = (nvcc: string) => matchOutput(nvcc, "--version", /release ([\d.]+)/);
  return getVersion("nvcc") ?? getVersion("/usr/local/cuda/bin/nvcc");
}

/** Matches a command's output and returns the first group; null without a match or a command. */
function matchOutput(command: string, argument: string, pattern: RegExp): string | null {
  const { stdout } = spawnSync(command, [argument], { encoding: "utf8" });
  return pattern.exec(stdout ?? "")?.[1] ?? null;
}
