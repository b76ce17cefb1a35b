// tinybard eval: measures the losses of a trained model, over more batches than during training.

import { device } from "../backend/devices.ts";
import type { TrainConfig } from "../train/config.ts";
import { measureRun } from "../train/evaluate.ts";
import { type Command, dataOption, deviceOption, runOption } from "./command.ts";
import { formatLosses, formatTextLoss } from "./losses.ts";

interface EvalFlags {
  run: string;
  iters: number;
  data?: string;
  device: TrainConfig["device"];
}

export const evalCommand: Command<EvalFlags> = {
  summary: "evaluate the training and validation loss of a model",
  options: {
    run: runOption,
    iters: { type: "integer", help: "batches per split", default: 200, min: 1, value: "N" },
    data: dataOption,
    device: deviceOption,
  },

  async run({ run, iters, data, device: deviceName }) {
    const result = await measureRun(run, { iters, data, device: device(deviceName) });
    console.log(formatLosses(result));
    for (const line of formatTextLoss(result.valLoss, result)) console.log(line);
    return 0;
  },
};
