// Whole training steps, in turns with PyTorch's best.

import { last, median } from "../command.ts";
import { ours, torch } from "../peers/sides.ts";
import type { StepResult } from "../step.bench.ts";
import type { Part } from "./run.ts";
import { hasTorch } from "./sides.ts";

const usual = [
  ["lecture-10.8m", "bf16"],
  ["gpt2", "bf16"],
  ["lecture-10.8m", "tf32"],
  ["lecture-0.2m", "f32"],
  ["lecture-2.7m", "f32"],
] as const;

/** What torch_gpt.py prints of a configuration; `best`, at the end, repeats the fastest. */
interface TorchStep {
  msPerStep?: number;
  best?: string;
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
    for (let round = 0; round < rounds; round++) {
      const asked = [
        name,
        "--device",
        device,
        "--dtype",
        type,
        "--seconds",
        `${seconds}`,
        "--json",
      ];
      own.push(await last(ours<StepResult>("../step.bench.js", asked)));
      note(figure, { ours: own, torch: other });
      if (!isOpposed || round > 0) continue; // all that it can do takes minutes: once, between ours
      const kind = type === "bf16" ? ["--dtype", "bf16"] : ["--dtype", "f32"];
      const exact = type === "f32" ? ["--no-tf32"] : [];
      const all = ["--preset", name, "--device", "cuda", "--seconds", `${seconds}`, ...kind];
      for await (const line of torch<TorchStep>("torch_gpt.py", [
        ...all,
        ...exact,
        ...words.split(" "),
      ])) {
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
