// Whole training steps, in turns with PyTorch's best.

import { last, median } from "../command.ts";
import { ours, torch } from "../peers/sides.ts";
import type { StepResult } from "../step.bench.ts";
import type { Part } from "./run.ts";
import { hasTorch, torchType } from "./sides.ts";

const usual = [
  ["lecture-10.8m", "bf16"],
  ["gpt2", "bf16"],
  ["lecture-10.8m", "tf32"],
  ["lecture-0.2m", "f32"],
  ["lecture-2.7m", "f32"],
] as const;

/** What torch_gpt.py prints of a configuration, and in the end of the fastest once more. */
interface TorchStep {
  msPerStep?: number;
}

export const steps: Part = async (
  { device, preset, dtype, rounds, seconds, torch: words },
  note,
) => {
  const chosen = preset ? [[preset, dtype ?? "bf16"] as const] : usual;
  const isOpposed = words !== "none" && hasTorch();
  for (const [name, type] of chosen) {
    const own: StepResult[] = [];
    const other: TorchStep[] = [];
    const figure = `step-${name}-${type}`;
    const common = ["--seconds", `${seconds}`, "--device"];
    for (let round = 0; round < rounds; round++) {
      const asked = [name, ...common, device, "--dtype", type, "--json"];
      own.push(await last(ours<StepResult>("../step.bench.js", asked)));
      note(figure, { ours: own, torch: other });
      if (!isOpposed || round > 0) continue; // all that it can do takes minutes: once, between ours
      const all = ["--preset", name, ...common, "cuda", ...torchType(type), ...words.split(" ")];
      for await (const line of torch<TorchStep>("torch_gpt.py", all)) {
        other.push(line);
        note(figure, { ours: own, torch: other });
      }
    }
    const ms = median(own.map(({ msPerStep }) => msPerStep));
    const best = Math.min(...other.map(({ msPerStep = Number.POSITIVE_INFINITY }) => msPerStep));
    const beside = other.length
      ? `, PyTorch's best ${best.toFixed(3)}: ${(best / ms).toFixed(2)}x`
      : "";
    console.log(`${name} ${type}: ${ms.toFixed(3)} ms a step${beside}`);
  }
};
