// Where the native addons and the WebAssembly modules lie: a build of this machine's own comes
// first, then the file that the package contains.

import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { root } from "../../installation.ts";
import type { AddonName } from "./platform.ts";

/** The files that a build of this machine writes, the preferred one first. */
const builtFiles: Record<AddonName, readonly string[]> = {
  cpu: ["build/Release/cpu.node"],
  cuda: ["build-cuda/Release/cuda.node"],
  "cuda-emulator": ["build-emulator/Release/cuda.node"],
  wasm: wasmFiles(),
};

/**
 * Returns the file of the module that TINYBARD_WASM_SIMD names: plain, relaxed, or relaxed64, for
 * more than 4 GiB of memory. By default, the two for less memory, the faster one first.
 */
function wasmFiles(): string[] {
  const variant = process.env.TINYBARD_WASM_SIMD;
  const variants = variant ? [variant] : ["relaxed", "plain"];
  return variants.map((name) => `build-wasm/kernels${name === "plain" ? "" : `-${name}`}.wasm`);
}

/** The environment variables with which tests select another file. */
const overrides: Record<AddonName, string> = {
  cpu: "TINYBARD_ADDON",
  cuda: "TINYBARD_CUDA_ADDON",
  "cuda-emulator": "TINYBARD_EMULATOR",
  wasm: "TINYBARD_WASM",
};

/** The files in the package for this platform, whether or not they exist. */
function prebuiltFiles(name: AddonName): string[] {
  if (name === "cpu") return [`prebuilds/${process.platform}-${process.arch}/cpu.node`];
  if (name === "wasm") return builtFiles.wasm.map((file) => file.replace("build-", "prebuilds/"));
  return [];
}

/** Returns the existing files that may contain a backend, the preferred one first. */
export function candidateFiles(name: AddonName): string[] {
  const override = process.env[overrides[name]];
  const files = override ? [override] : [...builtFiles[name], ...prebuiltFiles(name)];
  return files.map((file) => resolve(root, file)).filter((file) => existsSync(file));
}

/** Returns true if the file belongs to the package, rather than having been built here. */
export function isPrebuilt(file: string): boolean {
  return file.startsWith(join(root, "prebuilds"));
}

/** Returns true if Node runs with the C library musl, as on Alpine Linux. */
export function usesMusl(): boolean {
  if (process.platform !== "linux") return false;
  try {
    return readFileSync("/proc/self/maps", "utf8").includes("/ld-musl-");
  } catch {
    return false;
  }
}
