// tinybard doctor: what devices there are; for each that is missing, why, and what to do.

import { availableParallelism, cpus } from "node:os";
import type { Addon } from "../backend/addon.ts";
import { device, devices } from "../backend/devices.ts";
import { compilerHere, gpuHere } from "./cuda.ts";

/** What it runs on. */
function describe(addon: Addon): string {
  if ("simd" in addon) return `${addon.simd}, threads: ${addon.threads()}`;
  return `${addon.processor}, matrix products: ${addon.matmul}`;
}

export async function doctor(): Promise<number> {
  const { platform, arch, version } = process;
  const processor = cpus()[0]?.model ?? "unknown";
  console.log(
    `node ${version} on ${platform}-${arch}, ${availableParallelism()} cores, ${processor}`,
  );
  const chosen = device("auto").name;
  for (const { name, available, reason, native, missing } of devices()) {
    const addon = available ? device(name).addon : null;
    const how = addon ? `, ${describe(addon)}` : "";
    const kernels = `${native} native kernels, ${missing.length} in TypeScript${how}`;
    const mark = name === chosen ? " (what auto takes)" : "";
    console.log(
      `${name.padEnd(14)}${available ? `works: ${kernels}${mark}` : `missing: ${reason}`}`,
    );
  }
  console.log(`GPU: ${gpuHere() ?? "none that nvidia-smi lists"}`);
  console.log(`nvcc: ${compilerHere() ?? "not found: the CUDA toolkit brings it"}`);
  return 0;
}
