// tinybard tune: times the cuBLASLt algorithms for the matmul shapes of a preset, and saves the
// fastest for all later runs.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { device } from "../backend/devices.ts";
import { tuningFile } from "../backend/tuning.ts";
import { createFolder } from "../files/folder.ts";
import { presets } from "../gpt/presets.ts";
import { type TrainConfig, trainOptions } from "../train/config.ts";
import { train } from "../train/loop.ts";
import { type Command, trainingDataOption } from "./command.ts";

export const tuneCommand: Command<Partial<TrainConfig>> = {
  summary: "find the fastest matmul algorithms of the GPU",
  writesFiles: true,
  options: {
    preset: {
      type: "string",
      help: "preset whose matrix shapes are timed",
      choices: Object.keys(presets),
      default: "lecture-10.8m",
      value: "NAME",
    },
    dtype: { ...trainOptions.dtype, help: "precision", default: "bf16" },
    data: trainingDataOption,
  },

  async run(flags) {
    const selected = device("cuda");
    const { addon } = selected;
    if (!addon || !("tune" in addon)) return 1;
    const folder = mkdtempSync(join(tmpdir(), "tinybard-tune-"));
    try {
      // one step uses every matmul shape of the model
      const out = join(folder, "run");
      await train({ ...flags, maxIters: 1, evalIters: 1, device: "cuda", out });
      addon.tune();
      createFolder(dirname(tuningFile()));
      selected.tuning?.save();
      const count = addon.matmulTable().trim().split("\n").filter(Boolean).length;
      console.log(`${count} products of ${addon.matmul} on ${addon.processor}: ${tuningFile()}`);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
    return 0;
  },
};
