// Measures the steps of the matmul ladder.

import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readJSONLines } from "../command.ts";
import { withTempFolder } from "./processes.ts";
import type { Part } from "./run.ts";

interface StepResult {
  step: number;
  ms: number;
  tflops: number;
  /** The largest error of some elements, compared with double precision. */
  error: number;
}

export const ladder: Part = async ({ device }, save) => {
  if (device !== "cuda") return console.log("skipped: the emulator cannot measure time");
  const root = fileURLToPath(new URL("../../../", import.meta.url)); // from dist/bench/cuda/
  const steps = readdirSync(join(root, "bench/ladder")).filter((file) => file.endsWith(".cu"));
  const shared = [
    "bench/cuda/ladder.cu",
    "native/cuda/device.cu",
    "native/cuda/resources.cpp",
    "native/kernel.cpp",
  ];
  const sources = [...steps.map((file) => `bench/ladder/${file}`), ...shared];
  await withTempFolder(async (folder) => {
    const program = join(folder, "ladder");
    const args = ["-std=c++17", "-O3", "-arch=native", "-o", program, ...sources];
    const { status, stderr } = spawnSync("nvcc", args, { cwd: root, encoding: "utf8" });
    if (status !== 0) return console.log(`skipped: nvcc: ${stderr ?? "not found in PATH"}`);
    const results: StepResult[] = [];
    for await (const result of readJSONLines<StepResult>(program, [])) {
      const { step, ms, tflops, error } = result;
      console.log(`${step}: ${ms.toFixed(3)} ms, ${tflops.toFixed(1)} TFLOP/s, error ${error}`);
      results.push(result);
      save("ladder", results);
    }
  });
};
