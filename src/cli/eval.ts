// tinybard eval: the losses of a trained model, over more batches than training takes the time for.

import { device } from "../device.ts";
import { measureRun } from "../train/evaluate.ts";
import { type Table, UsageError } from "../train/table.ts";

export const evalTable: Table = {
  run: { type: "string", help: "the folder of a run", value: "DIR" },
  iters: { type: "integer", help: "batches of each split", default: 200, min: 1, value: "N" },
  data: { type: "string", help: "another text (default: the run's own)", value: "FILE|NAME" },
  device: { type: "string", help: "where to compute", default: "auto", value: "NAME" },
};

interface Flags {
  run?: string;
  iters?: number;
  data?: string;
  device?: string;
}

export async function evaluateRun({
  run,
  iters = 200,
  data,
  device: name,
}: Flags): Promise<number> {
  if (!run) throw new UsageError("eval: --run DIR is missing: the folder of a run");
  const on = device((name ?? "auto") as "auto");
  const { step, trainLoss, valLoss } = await measureRun(run, { iters, data, device: on });
  console.log(`step ${step}: train loss ${trainLoss.toFixed(4)}, val loss ${valLoss.toFixed(4)}`);
  return 0;
}
