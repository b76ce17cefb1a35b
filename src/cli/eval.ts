// tinybard eval: measures the losses of a trained model, over more batches than during training.

import { device } from "../backend/devices.ts";
import type { TrainConfig } from "../train/config.ts";
import { measureRun } from "../train/measure.ts";
import { type Command, dataOption, deviceOption } from "./command.ts";
import { formatLosses, formatTextLoss } from "./losses.ts";
import { type RunFlags, runOptions, selectCheckpoint } from "./run-folder.ts";

interface EvalFlags extends RunFlags {
  iters: number;
  data?: string;
  device: TrainConfig["device"];
}

export const evalCommand: Command<EvalFlags> = {
  summary: "evaluate the training and validation loss of a model",
  options: {
    ...runOptions,
    iters: { type: "integer", help: "batches per split", default: 200, min: 1, value: "N" },
    data: dataOption,
    device: deviceOption,
  },

  async run({ iters, data, device: deviceName, ...flags }) {
    const { run, checkpoint } = selectCheckpoint("eval", flags);
    const options = { iters, data, device: device(deviceName), checkpoint, base: flags.base };
    const result = await measureRun(run, options);
    console.log(formatLosses(result));
    for (const line of formatTextLoss(result.valLoss, result)) console.log(line);
    return 0;
  },
};
