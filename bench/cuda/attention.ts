// Attention forward and back, beside what PyTorch calls flash and cuDNN.

import { sizesOf } from "../models.ts";
import { torch } from "../peers/sides.ts";
import type { Part } from "./run.ts";
import { hasTorch, kernelRows } from "./sides.ts";

export const attention: Part = async ({ device, preset, time }, note) => {
  const models = preset ? [preset] : ["lecture-10.8m", "gpt2"];
  const words = ["--device", device, "--dtype", "bf16", "--filter", "elfAttention"];
  const ours = await kernelRows([...words, "--time", `${time}`], models);
  const others: unknown[] = [];
  note("attention", { ours, torch: others });
  if (device !== "cuda" || !hasTorch()) return;
  for (const { B, H, T, D, dropout } of models.map(sizesOf))
    for await (const line of torch("torch_attention.py", [B, H, T, D, ...new Set([0, dropout])])) {
      console.log(JSON.stringify(line));
      others.push(line);
      note("attention", { ours, torch: others });
    }
};
