// Finds the native addons, which bring the kernels of the devices cpu and cuda; where one cannot be
// had, says why and what to do.

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { isMainThread } from "node:worker_threads";
import type { Kernels } from "./contract.ts";
import { reference } from "./reference/index.ts";

/** Kernels that return true, having done nothing, when they are given doubles. */
export type NativeKernels = {
  [K in keyof Kernels]: (...args: Parameters<Kernels[K]>) => true | undefined;
};

/** What an addon exports for a device. */
export interface Addon {
  readonly kernels: NativeKernels;
  /** The words of kernels.inc for each kernel: types, names and lengths of its arguments. */
  readonly signatures: Record<string, string>;
  /** The instruction set that its kernels use here. */
  readonly simd: string;
  /** Sets how many threads work, if a number is given; gives how many do. */
  threads(count?: number): number;
  /** The offset of the first byte of a buffer that begins a cache line. */
  alignment(buffer: ArrayBuffer): number;
  startRecording(): void;
  stopRecording(): Recording | undefined;
  /** Runs all calls of a recording again, in order, on the memory that they had. */
  replay(recording: Recording): void;
}

/** Calls of kernels that came between startRecording() and stopRecording(). */
export type Recording = { readonly calls: unique symbol };

const require = createRequire(import.meta.url);
const found = new Map<string, Addon | string>();

/** The addon of a device, or the reason why it cannot be had. */
export function addonOf(name: "cpu" | "cuda"): Addon | string {
  const addon = found.get(name) ?? (name === "cpu" ? load() : NO_CUDA);
  found.set(name, addon);
  return addon;
}

const NO_CUDA = "no CUDA addon: this version of tinybard has none yet";
const FIX = "npm run build:native";

function load(): Addon | string {
  const built = fileURLToPath(new URL("../../build/Release/cpu.node", import.meta.url));
  const file = process.env.TINYBARD_ADDON ?? built; // another one: for sanitizers
  if (!existsSync(file)) return `no C++ addon: it has not been built; ${FIX}`;
  try {
    const { cpu } = require(file) as { cpu: Addon };
    const other = Object.keys(reference).find(
      (kernel) => wordsOf(cpu.signatures?.[kernel]) !== parametersOf(kernel as keyof Kernels),
    );
    if (other) return `no C++ addon: the one there is of another version (${other}); ${FIX}`;
    // all workers share the threads: who loads the addon later leaves the number as it was set
    if (isMainThread || cpu.threads() === 1) cpu.threads(Math.min(availableParallelism(), 256));
    return cpu;
  } catch (error) {
    return `no C++ addon: ${(error as Error).message.split("\n")[0]}; ${FIX}`;
  }
}

/** The names of a kernel's arguments as kernels.inc has them. */
function wordsOf(signature = ""): string {
  const words = signature.matchAll(/\b(?:[a-z]\w*)\((?:(?:f32|i32|word|any), *)?(\w+)/g);
  return [...words].map(([, name]) => name).join(" ");
}

/** The names of a kernel's parameters as its TypeScript has them, which are the same. */
function parametersOf(kernel: keyof Kernels): string {
  const [, list] = /\(([^)]*)\)/.exec(reference[kernel].toString()) ?? ["", ""];
  return list.split(/[,\s]+/).filter(Boolean).join(" ");
}
