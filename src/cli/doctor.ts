// tinybard doctor: what devices there are; for each that is missing, why, and what to do.

import { spawnSync } from "node:child_process";
import { availableParallelism, cpus } from "node:os";
import { device, devices } from "../device.ts";
import type { Addon } from "../kernels/addon.ts";

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
  const gpu = said("nvidia-smi", "-L", /^GPU 0: (.*?) \(UUID/m);
  const nvcc = said("nvcc", "--version", /release ([\d.]+)/);
  console.log(`GPU: ${gpu ?? "none that nvidia-smi lists"}`);
  console.log(`nvcc: ${nvcc ?? "not found: the CUDA toolkit brings it"}`);
  return 0;
}

/** What a command prints at a place; null where there is no such command. */
function said(command: string, word: string, place: RegExp): string | null {
  const { stdout } = spawnSync(command, [word], { encoding: "utf8" });
  return place.exec(stdout ?? "")?.[1] ?? null;
}
