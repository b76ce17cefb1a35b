// The platform Node: loads the native addons and the WebAssembly module. If one is not available,
// returns the reason and the command that builds it.

import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { basename, join, relative } from "node:path";
import { setImmediate } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { isMainThread, Worker } from "node:worker_threads";
import { isDependency, rebuildCommand, root } from "../../installation.ts";
import {
  type Addon,
  type CpuAddon,
  type CudaAddon,
  findMismatch,
  type WasmAddon,
} from "../addon.ts";
import { hasGPU, probe } from "../probe.ts";
import { MatmulTuning } from "../tuning.ts";
import { instantiate } from "../wasm/instance.ts";
import { WebAssembly, type WorkerTask } from "../wasm/module.ts";
import { candidateFiles, isPrebuilt, usesMusl } from "./files.ts";
import { collectGarbage } from "./garbage.ts";
import type { AddonName, Platform } from "./platform.ts";

const require = createRequire(import.meta.url);

/** Node: native addons, environment variables, and files. */
export const platform: Platform = {
  env: process.env,
  fastDevice: "cpu",
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
export function addonOf(name: "wasm"): WasmAddon | string;
export function addonOf(name: "cpu" | "wasm"): CpuAddon | WasmAddon | string;
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
  wasm: {
    what: "WebAssembly module",
    // the package has neither the script nor the compiler
    fix: isDependency ? "install a package made by npm pack" : "npm run build:wasm",
  },
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
  if (name === "wasm" && isDependency) return "the package contains none";
  if (name === "cpu" && isDependency)
    return `the package contains none for ${process.platform}-${process.arch}`;
  const log = join(root, "build", "install.log"); // of the build at installation
  return `it has not been built${name === "cpu" && existsSync(log) ? ` (log: ${log})` : ""}`;
}

function loadFile(name: AddonName, file: string): Addon | string {
  if (name === "cpu" && isPrebuilt(file) && usesMusl())
    return "it requires glibc, and this system has musl";
  try {
    const reason = name === "cuda" ? probe(file) : null;
    if (reason) return `it does not work here: ${reason}`;
    const addon = name === "wasm" ? loadModule(file) : loadAddon(name, file);
    const mismatch = findMismatch(addon);
    if (mismatch) return mismatch;
    if ("alignment" in addon && (isMainThread || addon.threads() === 1))
      addon.threads(countThreads()); // only the first environment sets it
    if ("setMatmulTable" in addon) new MatmulTuning(addon).load();
    return addon;
  } catch (error) {
    return (error as Error).message.split(/\r?\n/)[0];
  }
}

/** Returns the number of threads of the kernels: TINYBARD_THREADS, by default one per core. */
function countThreads(): number {
  const maxThreads = 256;
  const { TINYBARD_THREADS: setting } = process.env;
  if (!setting) return Math.min(availableParallelism(), maxThreads);
  const count = Number(setting);
  if (Number.isInteger(count) && count >= 1 && count <= maxThreads) return count;
  throw new Error(`TINYBARD_THREADS is ${setting}, expected an integer from 1 to ${maxThreads}`);
}

function loadAddon(name: AddonName, file: string): Addon {
  return require(file)[name === "cpu" ? "cpu" : "cuda"];
}

/**
 * Loads a module into a memory of this JavaScript thread's own. Only the main thread has workers.
 */
function loadModule(file: string): WasmAddon {
  // Node 20 has relaxed SIMD behind a flag.
  const isNode20 = process.versions.node.startsWith("20.");
  if (isNode20) setFlagsFromString("--experimental-wasm-relaxed-simd");
  const bytes = readFileSync(file);
  const isRelaxed = basename(file).includes("-relaxed");
  const addressBits = file.endsWith("64.wasm") ? 64 : 32;
  if (!WebAssembly.validate(bytes)) throw new Error(`Node ${process.version} cannot run ${file}`);
  const module = new WebAssembly.Module(bytes);
  const simd = isRelaxed ? "relaxed" : "simd128";
  const addon = instantiate(module, simd, { startWorker, collectGarbage }, addressBits);
  if (isMainThread) addon.threads(countThreads());
  return addon;
}

/**
 * Starts a thread of the device wasm, which does not keep the process running. If it cannot start,
 * as under Node's permission model, the caller computes its parts.
 */
function startWorker(workerData: WorkerTask): void {
  const script = new URL("./wasm-worker.js", import.meta.url);
  try {
    new Worker(script, { workerData, execArgv: [] }).on("error", () => {}).unref();
  } catch {}
}
