// The platform Node: loads the native addons. If one is not available, returns the reason and the
// command that builds it.

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { join, relative } from "node:path";
import { setImmediate } from "node:timers/promises";
import { isMainThread } from "node:worker_threads";
import { isDependency, rebuildCommand, root } from "../../installation.ts";
import { type Addon, type CpuAddon, type CudaAddon, findMismatch } from "../addon.ts";
import { hasGPU, probe } from "../probe.ts";
import { MatmulTuning } from "../tuning.ts";
import { candidateFiles, isPrebuilt, usesMusl } from "./files.ts";
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
const loadedFiles = new Map<string, string>();

/** The addon of a device, or the reason why it is not available. */
export function addonOf(name: "cpu"): CpuAddon | string;
export function addonOf(name: "cuda" | "cuda-emulator"): CudaAddon | string;
export function addonOf(name: AddonName): Addon | string;
export function addonOf(name: AddonName): Addon | string {
  const addon = found.get(name) ?? load(name);
  found.set(name, addon);
  return addon;
}

/** Returns the file from which the addon of a device was loaded. */
export function fileOf(name: string): string | undefined {
  return loadedFiles.get(name);
}

/** The build command of each addon. */
const sources = {
  cpu: { what: "C++ addon", fix: rebuildCommand() },
  cuda: { what: "CUDA addon", fix: buildCommand("build:cuda", "cuda.cjs") },
  "cuda-emulator": {
    what: "CUDA emulator",
    fix: buildCommand("build:emulator", "cuda.cjs", "--emulator"),
  },
};

/** The command that builds an addon. `npm run` in a user's project does not find our scripts. */
function buildCommand(npmScript: string, file: string, flag = ""): string {
  if (!isDependency) return `npm run ${npmScript}`;
  const script = relative(process.cwd(), join(root, "scripts", file));
  return `node ${script} ${flag}`.trim();
}

/** Loads the first file that fits. Returns the addon, or the reasons against all of them. */
function load(name: AddonName): Addon | string {
  const { what, fix } = sources[name];
  if (name === "cuda" && candidateFiles(name).length === 0 && !hasGPU())
    return "no NVIDIA GPU found";
  const reasons: string[] = [];
  for (const file of candidateFiles(name)) {
    const addon = loadFile(name, file);
    if (typeof addon !== "string") {
      loadedFiles.set(name, file);
      return addon;
    }
    reasons.push(isPrebuilt(file) ? `the prebuilt one: ${addon}` : addon);
  }
  if (reasons.length === 0) reasons.push(describeMissing(name));
  return `no ${what}: ${reasons.join("; ")}; ${fix}`;
}

/** Returns the reason if there are no files to load. */
function describeMissing(name: AddonName): string {
  if (name === "cpu" && isDependency)
    return `the package contains none for ${process.platform}-${process.arch}`;
  const log = join(root, "build", "install.log"); // of the build at installation
  return `it has not been built${name === "cpu" && existsSync(log) ? ` (log: ${log})` : ""}`;
}

function loadFile(name: AddonName, file: string): Addon | string {
  if (isPrebuilt(file) && usesMusl()) return "it requires glibc, and this system has musl";
  try {
    const reason = name === "cuda" ? probe(file) : null;
    if (reason) return `it does not work here: ${reason}`;
    const addon = require(file)[name === "cpu" ? "cpu" : "cuda"] as Addon;
    const mismatch = findMismatch(addon);
    if (mismatch) return mismatch;
    if ("threads" in addon && (isMainThread || addon.threads() === 1))
      addon.threads(Math.min(availableParallelism(), 256)); // only the first environment sets it
    if ("setMatmulTable" in addon) new MatmulTuning(addon).load();
    return addon;
  } catch (error) {
    return (error as Error).message.split("\n")[0];
  }
}
