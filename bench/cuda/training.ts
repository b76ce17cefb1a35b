// Whole runs with their evaluations, from several seeds: how long they take, and how good the best
// model of each is, beside PyTorch's of the same recipe.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { last } from "../command.ts";
import { torch } from "../peers/sides.ts";
import type { Options, Part } from "./run.ts";
import { hasTorch, inFolder, runHere, torchType } from "./sides.ts";

/** A run: its wall time, from the start of the process to its end, and its least loss. */
interface Outcome {
  seed: number;
  seconds: number;
  best: number;
}

const SEEDS = [1337, 1, 2, 3, 4, 5, 6, 7];

export const training: Part = async (options, note) => {
  const { preset, seeds, torch: words } = options;
  for (const name of preset ? [preset] : ["lecture-10.8m", "nanogpt-char"]) {
    const own: Outcome[] = [];
    const other: Outcome[] = [];
    const isOpposed = name.startsWith("lecture") && words !== "none" && hasTorch(); // equal recipes
    for (const seed of SEEDS.slice(0, seeds)) {
      own.push(await train(name, seed, options));
      if (isOpposed) other.push(await trainTorch(name, seed, options));
      note(`training-${name}`, { ours: own, torch: other });
    }
    console.log(`${name}: ${summary(own)}${isOpposed ? `; PyTorch ${summary(other)}` : ""}`);
  }
};

function train(
  preset: string,
  seed: number,
  { device, dtype = "bf16", data }: Options,
): Promise<Outcome> {
  return inFolder(async (out) => {
    const words = ["--preset", preset, "--device", device, "--dtype", dtype, "--seed", `${seed}`];
    const text = data ? ["--data", data] : [];
    const start = performance.now();
    await runHere("../../cli/index.js", ["train", ...words, ...text, "--quiet", "--out", out]);
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
  const how = ["--device", "cuda", ...torchType(dtype), "--compile", "default", "--graph"];
  const length = ["--steps", 5000, "--warmup", 1, "--eval", 500, "--seed", seed, "--data", data];
  const words = ["--preset", preset, ...how, ...length];
  const line = torch<{ evaluations: number[][] }>("torch_gpt.py", words);
  const { evaluations } = await last(line);
  const seconds = (performance.now() - start) / 1000;
  return { seed, seconds, best: Math.min(...evaluations.map(([, loss]) => loss)) };
}

/** The mean of the losses with its standard error, the least of them, and the mean time. */
function summary(runs: Outcome[]): string {
  const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  const losses = runs.map(({ best }) => best);
  const center = mean(losses);
  const variance = losses.reduce((sum, x) => sum + (x - center) ** 2, 0) / (losses.length - 1);
  const error = losses.length > 1 ? Math.sqrt(variance / losses.length).toFixed(4) : "?";
  const time = mean(runs.map(({ seconds }) => seconds)).toFixed(1);
  return `${center.toFixed(4)} ± ${error}, best ${Math.min(...losses).toFixed(4)}, ${time} s`;
}
