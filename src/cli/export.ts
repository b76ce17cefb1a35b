// tinybard export: a trained model becomes a folder that Hugging Face's transformers loads.

import { device } from "../device.ts";
import { exportRun } from "../train/export.ts";
import { parameterCount } from "../train/mfu.ts";
import { type TrainConfig, trainTable } from "../train/options.ts";
import { defaultsOf, type Table, UsageError } from "../train/table.ts";

export const exportTable: Table = {
  run: { type: "string", help: "the folder of a run", value: "DIR" },
  out: { type: "string", help: "the folder to write", value: "DIR" },
  device: trainTable.device,
};

interface Flags {
  run?: string;
  out?: string;
  device: TrainConfig["device"];
}

export async function exportModel(flags: Partial<Flags>): Promise<number> {
  const { run, out, device: name } = { ...defaultsOf<Flags>(exportTable), ...flags };
  if (!run) throw new UsageError("export: --run DIR is missing: the folder of a run");
  if (!out) throw new UsageError("export: --out DIR is missing: the folder to write");
  const { model } = exportRun(run, out, device(name));
  console.log(`${out}: ${(parameterCount(model) / 1e6).toFixed(6)} M parameters`);
  return 0;
}
