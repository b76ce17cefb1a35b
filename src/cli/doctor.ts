// tinybard doctor: lists all devices and, for those that are not available, the reason.

import { availableParallelism, cpus } from "node:os";
import { relative } from "node:path";
import type { Addon } from "../backend/addon.ts";
import { device, devices } from "../backend/devices.ts";
import { addonOf, fileOf } from "../backend/platform/node.ts";
import { findMPI, findNCCL } from "../distributed/installed.ts";
import { root } from "../installation.ts";
import type { Command } from "./command.ts";
import { formatCount } from "./count.ts";
import { findGPU, findNvccVersion } from "./cuda.ts";

export const doctorCommand: Command = {
  summary: "list the devices, and what those that are not available need",
  options: {},

  async run() {
    const { platform, arch, version } = process;
    const processor = cpus()[0]?.model ?? "unknown processor";
    const cores = formatCount(availableParallelism(), "core");
    console.log(`node ${version} on ${platform}-${arch}, ${cores}, ${processor}`);
    const defaultName = device("auto").name;
    for (const entry of devices())
      console.log(`${entry.name.padEnd(14)}${describe(entry, entry.name === defaultName)}`);
    const gpu = findGPU();
    console.log(`GPU: ${gpu ?? "none found by nvidia-smi"}`);
    const nvcc = findNvccVersion() ?? (gpu && "not found; install the CUDA toolkit");
    if (nvcc) console.log(`nvcc: ${nvcc}`);
    console.log(`MPI: ${findMPI().join(", ") || describeMissingMPI()}`);
    const nccl = findNCCL();
    if (nccl) console.log(`NCCL: ${nccl}`);
    return 0;
  },
};

/** Returns what training in several processes needs. */
function describeMissingMPI(): string {
  const found =
    typeof addonOf("cpu") === "string"
      ? "training in several processes needs the C++ addon"
      : "not found; to train in several processes, install Open MPI or MPICH";
  return process.platform === "win32" ? "not supported on Windows; use WSL" : found;
}

function describe(entry: ReturnType<typeof devices>[number], isDefault: boolean): string {
  const { name, available, reason, native, missing } = entry;
  if (!available) return `${name === "cuda-emulator" ? "optional" : "missing"}: ${reason}`;
  const { addon } = device(name);
  const kernels = `${native} native kernels, ${missing.length} in TypeScript`;
  const hardware = addon ? `, ${describeHardware(addon)}` : "";
  const file = fileOf(name); // built here, or prebuilt
  const origin = file ? ` (${relative(root, file)})` : "";
  return `works: ${kernels}${hardware}${origin}${isDefault ? "; the default device" : ""}`;
}

function describeHardware(addon: Addon): string {
  if ("simd" in addon) {
    const bf16 = "hasBf16" in addon ? `, bf16 matmuls: ${addon.hasBf16 ? "yes" : "no"}` : "";
    return `${addon.simd}, threads: ${addon.threads()}${bf16}`;
  }
  return `${addon.processor}, matmul: ${addon.matmul}`;
}
