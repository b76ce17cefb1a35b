// Measures attention, forward and backward, and compares it with PyTorch's flash and cuDNN kernels.

import { getSizes } from "../models.ts";
import { runTorch } from "../peers/processes.ts";
import { hasTorch, measureKernels } from "./processes.ts";
import type { Part } from "./run.ts";

export const attention: Part = async ({ device, preset, time }, save) => {
  const models = preset ? [preset] : ["lecture-10.8m", "gpt2"];
  const args = ["--device", device, "--dtype", "bf16", "--filter", "elfAttention"];
  const ours = await measureKernels([...args, "--time", `${time}`], models);
  const torch: unknown[] = [];
  save("attention", { ours, torch });
  if (device !== "cuda" || !hasTorch()) return;
  for (const { B, H, T, D, dropout } of models.map(getSizes))
    for await (const line of runTorch("torch_attention.py", [
      B,
      H,
      T,
      D,
      ...new Set([0, dropout]),
    ])) {
      console.log(JSON.stringify(line));
      torch.push(line);
      save("attention", { ours, torch });
    }
};
