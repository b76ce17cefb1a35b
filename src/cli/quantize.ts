// tinybard quantize: a trained model with weights of a few bits, and what that gains and costs.

import { statSync } from "node:fs";
import type { Device } from "../backend/device.ts";
import { device } from "../backend/devices.ts";
import { UsageError } from "../errors.ts";
import { generate } from "../gpt/generate.ts";
import type { Bits } from "../ops/quantized.ts";
import { getDefaults, type OptionTable } from "../options.ts";
import { findWeightsFile, loadRun } from "../runs/load.ts";
import { quantizeRun } from "../runs/quantize.ts";
import { type TrainConfig, trainOptions } from "../train/config.ts";
import { measureRun } from "../train/evaluate.ts";
import { evalTable } from "./eval.ts";

export const quantizeTable: OptionTable = {
  run: evalTable.run,
  bits: { type: "integer", help: "of each weight: 8, or 4", default: 8, value: "N" },
  out: { type: "string", help: "the new folder (default: --run's, then -8bit)", value: "DIR" },
  iters: {
    type: "integer",
    help: "batches to measure losses on",
    default: 200,
    min: 1,
    value: "N",
  },
  tokens: { type: "integer", help: "to measure speed on", default: 500, min: 1, value: "N" },
  data: evalTable.data,
  device: trainOptions.device,
};

interface Flags {
  run?: string;
  bits: Bits;
  out?: string;
  iters: number;
  tokens: number;
  data?: string;
  device: TrainConfig["device"];
}

export async function quantizeCommand(flags: Partial<Flags>): Promise<number> {
  const all = { ...getDefaults<Flags>(quantizeTable), ...flags };
  const { run, bits, device: name, ...options } = all;
  if (!run) throw new UsageError("quantize: --run DIR is missing: the folder of a run");
  if (bits !== 8 && bits !== 4) throw new UsageError(`quantize: bits is ${bits}, expected 8 or 4`);
  const on = device(name);
  const out = options.out ?? `${run.replace(/[/\\]+$/, "")}-${bits}bit`;
  quantizeRun(run, { out, bits, device: on });
  console.log(`${on}: ${out}`);
  console.log(rowOf(["bits", "MB", "train loss", "val loss", "tokens/s"]));
  const folders = [run, out];
  const speeds = await tokensPerSecond(folders, on, options.tokens);
  for (const [i, folder] of folders.entries()) {
    const { trainLoss, valLoss } = await measureRun(folder, { ...options, device: on });
    const losses = [trainLoss, valLoss].map((loss) => loss.toFixed(4));
    const size = (statSync(findWeightsFile(folder) as string).size / 1e6).toFixed(2);
    console.log(rowOf([i ? bits : 32, size, ...losses, speeds[i].toFixed(0)]));
  }
  return 0;
}

function rowOf(cells: (string | number)[]): string {
  return cells.map((cell) => String(cell).padStart(10)).join("  ");
}

/**
 * How fast models write, a token at a time: by turns, so that what else the machine does meets all
 * of them, and the median of five turns, after one in which the code gets warm.
 */
async function tokensPerSecond(runs: string[], device: Device, count: number): Promise<number[]> {
  const models = runs.map((run) => loadRun(run, device).model);
  const maxNewTokens = Math.ceil(count / 5);
  const speeds: number[][] = models.map(() => []);
  for (let turn = 0; turn < 6; turn++)
    for (const [i, model] of models.entries()) {
      const start = performance.now();
      for await (const _ of generate(model, { prompt: [0], maxNewTokens, seed: 1 }));
      if (turn > 0) speeds[i].push((1000 * maxNewTokens) / (performance.now() - start));
    }
  return speeds.map((each) => each.sort((a, b) => a - b)[2]);
}
