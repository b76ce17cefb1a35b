// tinybard export: a trained model becomes a folder that Hugging Face's transformers loads, and the
// record of its training a table.

import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { device } from "../backend/devices.ts";
import { UsageError } from "../errors.ts";
import { countParameters } from "../gpt/language-model.ts";
import { getDefaults, type OptionTable } from "../options.ts";
import { exportRun } from "../runs/export.ts";
import { readRows, toCSV } from "../runs/metrics.ts";
import { type TrainConfig, trainOptions } from "../train/config.ts";

export const exportTable: OptionTable = {
  run: { type: "string", help: "the folder of a run", value: "DIR" },
  out: { type: "string", help: "the folder to write", value: "DIR" },
  csv: { type: "string", help: "the table of metrics.jsonl to write", value: "FILE" },
  device: trainOptions.device,
};

interface Flags {
  run?: string;
  out?: string;
  csv?: string;
  device: TrainConfig["device"];
}

export async function exportModel(flags: Partial<Flags>): Promise<number> {
  const { run, out, csv, device: name } = { ...getDefaults<Flags>(exportTable), ...flags };
  if (!run) throw new UsageError("export: --run DIR is missing: the folder of a run");
  if (!out && !csv)
    throw new UsageError("export: --out DIR or --csv FILE is missing: what to write");
  if (csv) {
    if (!existsSync(join(run, "metrics.jsonl")))
      throw new UsageError(`run: ${run} has no metrics.jsonl`);
    const rows = readRows(run);
    writeFileSync(csv, toCSV(rows));
    console.log(`${csv}: ${rows.length} rows`);
  }
  if (out) {
    const { model } = exportRun(run, out, device(name));
    console.log(`${out}: ${(countParameters(model) / 1e6).toFixed(6)} M parameters`);
  }
  return 0;
}
