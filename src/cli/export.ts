// tinybard export: a trained model becomes a folder that Hugging Face's transformers loads, and the
// record of its training a table.

import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { device } from "../backend/device.ts";
import { exportRun } from "../runs/export.ts";
import { csvOf, readRows } from "../runs/metrics.ts";
import { parameterCount } from "../train/mfu.ts";
import { type TrainConfig, trainTable } from "../train/options.ts";
import { defaultsOf, type Table, UsageError } from "../train/table.ts";

export const exportTable: Table = {
  run: { type: "string", help: "the folder of a run", value: "DIR" },
  out: { type: "string", help: "the folder to write", value: "DIR" },
  csv: { type: "string", help: "the table of metrics.jsonl to write", value: "FILE" },
  device: trainTable.device,
};

interface Flags {
  run?: string;
  out?: string;
  csv?: string;
  device: TrainConfig["device"];
}

export async function exportModel(flags: Partial<Flags>): Promise<number> {
  const { run, out, csv, device: name } = { ...defaultsOf<Flags>(exportTable), ...flags };
  if (!run) throw new UsageError("export: --run DIR is missing: the folder of a run");
  if (!out && !csv)
    throw new UsageError("export: --out DIR or --csv FILE is missing: what to write");
  if (csv) {
    if (!existsSync(join(run, "metrics.jsonl")))
      throw new UsageError(`run: ${run} has no metrics.jsonl`);
    const rows = readRows(run);
    writeFileSync(csv, csvOf(rows));
    console.log(`${csv}: ${rows.length} rows`);
  }
  if (out) {
    const { model } = exportRun(run, out, device(name));
    console.log(`${out}: ${(parameterCount(model) / 1e6).toFixed(6)} M parameters`);
  }
  return 0;
}
