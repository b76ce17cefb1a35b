// tinybard tune: times the ways in which the device's library can multiply matrices of the shapes
// that training a preset needs, and keeps the fastest for all runs to come.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { device } from "../backend/devices.ts";
import { tuningFile } from "../backend/tuning.ts";
import { presets } from "../gpt/presets.ts";
import type { OptionTable } from "../options.ts";
import type { TrainConfig } from "../train/config.ts";
import { train } from "../train/loop.ts";

export const tuneTable: OptionTable = {
  preset: {
    type: "string",
    help: "the model whose shapes are timed",
    choices: Object.keys(presets),
    default: "lecture-10.8m",
    value: "NAME",
  },
  dtype: {
    type: "string",
    help: "the numbers' type",
    choices: ["f32", "tf32", "bf16"],
    default: "bf16",
    value: "NAME",
  },
  data: { type: "string", help: "the text, as for train", value: "FILE|NAME" },
};

export async function tune(options: Partial<TrainConfig>): Promise<number> {
  const on = device("cuda");
  const { addon } = on;
  if (!addon || !("tune" in addon)) return 1;
  const folder = mkdtempSync(join(tmpdir(), "tinybard-tune-"));
  try {
    const brief = { maxIters: 1, evalIters: 1, device: "cuda", out: join(folder, "run") } as const;
    await train({ ...options, ...brief }); // each product is met once
    addon.tune();
    on.tuning?.save();
    const count = addon.matmulTable().trim().split("\n").filter(Boolean).length;
    console.log(`${count} products of ${addon.matmul} on ${addon.processor}: ${tuningFile()}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return 0;
}
