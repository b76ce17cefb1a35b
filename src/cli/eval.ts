// tinybard eval: the losses of a trained model, over more batches than training takes the time for.

import { device } from "../backend/devices.ts";
import { UsageError } from "../errors.ts";
import { getDefaults, type OptionTable } from "../options.ts";
import { type TrainConfig, trainOptions } from "../train/config.ts";
import { measureRun } from "../train/evaluate.ts";
import { textLossLines } from "./textloss.ts";

export const evalTable: OptionTable = {
  run: { type: "string", help: "the folder of a run", value: "DIR" },
  iters: { type: "integer", help: "batches of each split", default: 200, min: 1, value: "N" },
  data: { type: "string", help: "another text (default: the run's own)", value: "FILE|NAME" },
  device: trainOptions.device,
};

interface Flags {
  run?: string;
  iters: number;
  data?: string;
  device: TrainConfig["device"];
}

export async function evaluateRun(flags: Partial<Flags>): Promise<number> {
  const { run, device: name, ...options } = { ...getDefaults<Flags>(evalTable), ...flags };
  if (!run) throw new UsageError("eval: --run DIR is missing: the folder of a run");
  const measured = await measureRun(run, { ...options, device: device(name) });
  const { step, trainLoss, valLoss, ...rest } = measured;
  console.log(`step ${step}: train loss ${trainLoss.toFixed(4)}, val loss ${valLoss.toFixed(4)}`);
  for (const line of textLossLines(valLoss, rest)) console.log(line);
  return 0;
}
