// tinybard export: writes a trained model for Hugging Face transformers, or its metrics as CSV.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { device } from "../backend/devices.ts";
import { UsageError } from "../errors.ts";
import { countParameters } from "../gpt/language-model.ts";
import { writeCSV } from "../runs/csv.ts";
import { type ExportFormat, exportFormats, exportRun } from "../runs/export.ts";
import type { TrainConfig } from "../train/config.ts";
import { type Command, deviceOption } from "./command.ts";
import { formatCount } from "./count.ts";
import { findRun, type RunFlags, runOptions, selectCheckpoint } from "./run-folder.ts";

interface ExportFlags extends RunFlags {
  out?: string;
  csv?: string;
  format?: ExportFormat;
  device: TrainConfig["device"];
}

export const exportCommand: Command<ExportFlags> = {
  summary: "export a model for Hugging Face transformers, or metrics as CSV",
  writesFiles: true,
  options: {
    ...runOptions,
    out: { type: "string", help: "folder for the exported model", value: "DIR" },
    format: {
      type: "string",
      help: "model type in transformers (default: llama for rotary positions, otherwise gpt2)",
      choices: exportFormats,
      value: "NAME",
    },
    csv: { type: "string", help: "CSV file for the metrics of the run", value: "FILE" },
    device: deviceOption,
  },

  async run({ out, csv, format, device: deviceName, ...flags }) {
    if (!out && !csv) throw new UsageError("export: --out DIR or --csv FILE is required");
    const run = findRun("export", flags.run);
    if (csv) {
      if (!existsSync(join(run, "metrics.jsonl")))
        throw new UsageError(`run: ${run} has no metrics.jsonl`);
      const { count, damaged } = writeCSV(csv, run);
      console.log(`${csv}: ${formatCount(count, "row")}`);
      if (damaged > 0)
        console.error(
          `damaged lines in ${join(run, "metrics.jsonl")} that were left out: ${damaged}`,
        );
    }
    if (out) {
      const { checkpoint } = selectCheckpoint("export", { ...flags, run });
      const options = { device: device(deviceName), checkpoint, base: flags.base, format };
      const { model } = exportRun(run, out, options);
      console.log(`${out}: ${(countParameters(model) / 1e6).toFixed(6)} M parameters`);
    }
    return 0;
  },
};
