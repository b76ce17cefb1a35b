// config.json of a run: the options that it was started with.

import { join } from "node:path";
import { writeJSON } from "../files/durable.ts";
import type { TrainConfig } from "../train/config.ts";

/** Writes config.json. JSON has no Infinity: without a limit on the steps, maxIters is left out. */
export function writeConfig(folder: string, config: TrainConfig): void {
  const { maxIters, ...others } = config;
  writeJSON(join(folder, "config.json"), maxIters === Infinity ? others : config);
}
