// Measures complete training runs with several seeds: their duration and lowest validation loss,
// compared with PyTorch runs with the same hyperparameters.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { getLast } from "../command.ts";
import { runTorch } from "../peers/processes.ts";
import { getTorchDType, hasTorch, runProgram, withTempFolder } from "./processes.ts";
import type { Options, Part } from "./run.ts";

/** A run: the wall time of its process, and its lowest validation loss. */
interface Outcome {
  seed: number;
  seconds: number;
  best: number;
}

const SEEDS = [1337, 1, 2, 3, 4, 5, 6, 7];

export const training: Part = async (options, save) => {
  const { preset, seeds, torch: torchOptions } = options;
  for (const name of preset ? [preset] : ["lecture-10.8m", "nanogpt-char"]) {
    const ours: Outcome[] = [];
    const torch: Outcome[] = [];
    // torch_gpt.py has the hyperparameters of the lecture presets
    const usesTorch = name.startsWith("lecture") && torchOptions !== "none" && hasTorch();
    for (const seed of SEEDS.slice(0, seeds)) {
      ours.push(await train(name, seed, options));
      if (usesTorch) torch.push(await trainTorch(name, seed, options));
      save(`training-${name}`, { ours, torch });
    }
    console.log(
      `${name}: ${formatSummary(ours)}${usesTorch ? `; PyTorch ${formatSummary(torch)}` : ""}`,
    );
  }
};

function train(
  preset: string,
  seed: number,
  { device, dtype = "bf16", data }: Options,
): Promise<Outcome> {
  return withTempFolder(async (out) => {
    const args = ["--preset", preset, "--device", device, "--dtype", dtype, "--seed", `${seed}`];
    if (data) args.push("--data", data);
    const start = performance.now();
    await runProgram("../../cli/index.js", ["train", ...args, "--quiet", "--out", out]);
    const seconds = (performance.now() - start) / 1000;
    const rows = readFileSync(join(out, "metrics.jsonl"), "utf8").trim().split("\n");
    const losses = rows.map((row) => JSON.parse(row).valLoss ?? Number.POSITIVE_INFINITY);
    return { seed, seconds, best: Math.min(...losses) };
  });
}

async function trainTorch(
  preset: string,
  seed: number,
  { dtype = "bf16", data = process.env.TINYBARD_DATA }: Options,
): Promise<Outcome> {
  if (!data) throw new Error("training: PyTorch needs --data FILE, or TINYBARD_DATA");
  const start = performance.now();
  const options = ["--device", "cuda", ...getTorchDType(dtype), "--compile", "default", "--graph"];
  const length = ["--steps", 5000, "--warmup", 1, "--eval", 500, "--seed", seed, "--data", data];
  const args = ["--preset", preset, ...options, ...length];
  const lines = runTorch<{ evaluations: number[][] }>("torch_gpt.py", args);
  const { evaluations } = await getLast(lines);
  const seconds = (performance.now() - start) / 1000;
  return { seed, seconds, best: Math.min(...evaluations.map(([, loss]) => loss)) };
}

/** Formats the mean loss with its standard error, the lowest loss, and the mean time. */
function formatSummary(runs: Outcome[]): string {
  const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  const losses = runs.map(({ best }) => best);
  const center = mean(losses);
  const variance = losses.reduce((sum, x) => sum + (x - center) ** 2, 0) / (losses.length - 1);
  const error = losses.length > 1 ? Math.sqrt(variance / losses.length).toFixed(4) : "?";
  const time = mean(runs.map(({ seconds }) => seconds)).toFixed(1);
  return `${center.toFixed(4)} ± ${error}, best ${Math.min(...losses).toFixed(4)}, ${time} s`;
}
