// Attention forward and back, beside what PyTorch calls flash and cuDNN.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Result } from "../child.ts";
import { sizesOf } from "../models.ts";
import { torch } from "../peers/sides.ts";
import type { Part } from "./run.ts";
import { hasTorch, runHere } from "./sides.ts";

export const attention: Part = async ({ device, preset, time }, note) => {
  const models = preset ? [preset] : ["lecture-10.8m", "gpt2"];
  const folder = mkdtempSync(join(tmpdir(), "tinybard-bench-"));
  const json = join(folder, "attention.json");
  const words = ["--device", device, "--dtype", "bf16", "--filter", "elfAttention"];
  const env = { TINYBARD_BENCH_MODELS: models.join() };
  await runHere("../run.js", [...words, "--time", `${time}`, "--json", json], env);
  const ours: Result[] = JSON.parse(readFileSync(json, "utf8")).results;
  rmSync(folder, { recursive: true });
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
