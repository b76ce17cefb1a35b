// Measures training steps, and compares them with the fastest configuration of PyTorch.

import { getLast, median } from "../command.ts";
import { runTinybard, runTorch } from "../peers/processes.ts";
import type { StepResult } from "../step.bench.ts";
import { getTorchDType, hasTorch } from "./processes.ts";
import type { Part } from "./run.ts";

const defaults = [
  ["lecture-10.8m", "bf16"],
  ["gpt2", "bf16"],
  ["lecture-10.8m", "tf32"],
  ["lecture-0.2m", "f32"],
  ["lecture-2.7m", "f32"],
] as const;

/** A line of torch_gpt.py: the result of a configuration. The fastest is repeated at the end. */
interface TorchStep {
  msPerStep?: number;
}

export const steps: Part = async (
  { device, preset, dtype, rounds, seconds, torch: torchOptions },
  save,
) => {
  const configurations = preset ? [[preset, dtype ?? "bf16"] as const] : defaults;
  const usesTorch = torchOptions !== "none" && hasTorch();
  for (const [name, type] of configurations) {
    const ours: StepResult[] = [];
    const torch: TorchStep[] = [];
    const key = `step-${name}-${type}`;
    const common = ["--seconds", `${seconds}`, "--device"];
    for (let round = 0; round < rounds; round++) {
      const args = [name, ...common, device, "--dtype", type, "--json"];
      ours.push(await getLast(runTinybard<StepResult>("../step.bench.js", args)));
      save(key, { ours, torch });
      if (!usesTorch || round > 0) continue; // once, since all its configurations take minutes
      const torchArgs = ["--preset", name, ...common, "cuda", ...getTorchDType(type)];
      torchArgs.push(...torchOptions.split(" "));
      for await (const line of runTorch<TorchStep>("torch_gpt.py", torchArgs)) {
        torch.push(line);
        save(key, { ours, torch });
      }
    }
    const ms = median(ours.map(({ msPerStep }) => msPerStep));
    const best = Math.min(...torch.map(({ msPerStep = Number.POSITIVE_INFINITY }) => msPerStep));
    const comparison = torch.length
      ? `, PyTorch's best ${best.toFixed(3)}: ${(best / ms).toFixed(2)}x`
      : "";
    console.log(`${name} ${type}: ${ms.toFixed(3)} ms per step${comparison}`);
  }
};
