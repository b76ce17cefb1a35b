// The platform Node: loads the native addons. If one is not available, returns the reason and the
// command that builds it.

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { join, relative, resolve } from "node:path";
import { setImmediate } from "node:timers/promises";
import { isMainThread } from "node:worker_threads";
import { isDependency, rebuildCommand, root } from "../../installation.ts";
import { type Addon, type CpuAddon, type CudaAddon, findMismatch } from "../addon.ts";
import { hasGPU, probe } from "../probe.ts";
import { MatmulTuning } from "../tuning.ts";
import type { AddonName, Platform } from "./platform.ts";

const require = createRequire(import.meta.url);

/** Node: native addons, environment variables, and files. */
export const platform: Platform = {
  env: process.env,
  addonOf,
  warn(message) {
    if (isMainThread) process.emitWarning(message);
  },
  makeTuning: (addon) => (addon && "matmulTable" in addon ? new MatmulTuning(addon) : null),
  nextTask: () => setImmediate(),
};

const found = new Map<string, Addon | string>();

/** The addon of a device, or the reason why it is not available. */
export function addonOf(name: "cpu"): CpuAddon | string;
export function addonOf(name: "cuda" | "cuda-emulator"): CudaAddon | string;
export function addonOf(name: AddonName): Addon | string;
export function addonOf(name: AddonName): Addon | string {
  const addon = found.get(name) ?? load(name);
  found.set(name, addon);
  return addon;
}

/** The file and the build command of each addon. Tests set environment variables for others. */
const sources = {
  cpu: {
    what: "C++ addon",
    file: process.env.TINYBARD_ADDON ?? "build/Release/cpu.node",
    fix: rebuildCommand(),
  },
  cuda: {
    what: "CUDA addon",
    file: process.env.TINYBARD_CUDA_ADDON ?? "build-cuda/Release/cuda.node",
    fix: buildCommand("build:cuda", "cuda.cjs"),
  },
  "cuda-emulator": {
    what: "CUDA emulator",
    file: process.env.TINYBARD_EMULATOR ?? "build-emulator/Release/cuda.node",
    fix: buildCommand("build:emulator", "cuda.cjs", "--emulator"),
  },
};

/** The command that builds an addon. `npm run` in a user's project does not find our scripts. */
function buildCommand(npmScript: string, file: string, flag = ""): string {
  if (!isDependency) return `npm run ${npmScript}`;
  const script = relative(process.cwd(), join(root, "scripts", file));
  return `node ${script} ${flag}`.trim();
}

function load(name: AddonName): Addon | string {
  const { what, file, fix } = sources[name];
  const path = resolve(root, file);
  if (!existsSync(path)) {
    if (name === "cuda" && !hasGPU()) return "no NVIDIA GPU found";
    const log = join(root, "build", "install.log"); // of the build at installation
    const seeLog = name === "cpu" && existsSync(log) ? ` (log: ${log})` : "";
    return `no ${what}: it has not been built${seeLog}; ${fix}`;
  }
  try {
    const reason = name === "cuda" ? probe(path) : null;
    if (reason) return `the ${what} does not work here: ${reason}`;
    const addon = require(path)[name === "cpu" ? "cpu" : "cuda"] as Addon;
    const mismatch = findMismatch(addon);
    if (mismatch) return `no ${what}: ${mismatch}; ${fix}`;
    if ("threads" in addon && (isMainThread || addon.threads() === 1))
      addon.threads(Math.min(availableParallelism(), 256)); // only the first environment sets it
    if ("setMatmulTable" in addon) new MatmulTuning(addon).load();
    return addon;
  } catch (error) {
    return `no ${what}: ${(error as Error).message.split("\n")[0]}; ${fix}`;
  }
}
