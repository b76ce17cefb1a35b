// The steps of the ladder to the matrix product, each with its rate.

import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { jsonLines } from "../command.ts";
import type { Part } from "./run.ts";
import { inFolder } from "./sides.ts";

interface Figure {
  step: number;
  ms: number;
  tflops: number;
  /** The largest difference from some elements' sums in double precision. */
  error: number;
}

export const ladder: Part = async ({ device }, note) => {
  if (device !== "cuda") return console.log("skipped: the emulator has no clock");
  const root = fileURLToPath(new URL("../../../", import.meta.url)); // from dist/bench/cuda/
  const steps = readdirSync(join(root, "bench/ladder")).filter((file) => file.endsWith(".cu"));
  const shared = [
    "bench/cuda/ladder.cu",
    "native/cuda/device.cu",
    "native/cuda/resources.cpp",
    "native/kernel.cpp",
  ];
  const sources = [...steps.map((file) => `bench/ladder/${file}`), ...shared];
  await inFolder(async (folder) => {
    const program = join(folder, "ladder");
    const words = ["-std=c++17", "-O3", "-arch=native", "-o", program, ...sources];
    const { status, stderr } = spawnSync("nvcc", words, { cwd: root, encoding: "utf8" });
    if (status !== 0) return console.log(`skipped: nvcc: ${stderr ?? "it is not on the path"}`);
    const figures: Figure[] = [];
    for await (const figure of jsonLines<Figure>(program, [])) {
      const { step, ms, tflops, error } = figure;
      console.log(`${step}: ${ms.toFixed(3)} ms, ${tflops.toFixed(1)} TFLOP/s, error ${error}`);
      figures.push(figure);
      note("ladder", figures);
    }
  });
};
