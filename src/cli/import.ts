// tinybard import: a GPT-2 of Hugging Face becomes the folder of a run.

import { device } from "../backend/device.ts";
import { importedName, importRun } from "../runs/import.ts";
import { parameterCount } from "../train/mfu.ts";
import { type TrainConfig, trainTable } from "../train/options.ts";
import { defaultsOf, type Table, UsageError } from "../train/table.ts";

export const importTable: Table = {
  from: { type: "string", help: "the folder: config.json, model.safetensors", value: "DIR" },
  out: { type: "string", help: "the run's folder (default: runs/ and its name)", value: "DIR" },
  device: trainTable.device,
};

interface Flags {
  from?: string;
  out?: string;
  device: TrainConfig["device"];
}

export async function importModel(flags: Partial<Flags>): Promise<number> {
  const { from, out, device: name } = { ...defaultsOf<Flags>(importTable), ...flags };
  if (!from) throw new UsageError("import: DIR is missing: the folder of a GPT-2");
  const target = out ?? importedName(from);
  const { model, config, tokenizer } = importRun(from, target, device(name));
  const { nLayer, nEmbd, blockSize } = config;
  const millions = (parameterCount(model) / 1e6).toFixed(6);
  console.log(`${millions} M parameters: ${nLayer} blocks, width ${nEmbd}, ${blockSize} tokens`);
  const isNumbers = config.tokenizer === "ids";
  const what = isNumbers ? "token ids, since the folder has no vocabulary" : config.tokenizer;
  console.log(`text: ${what} (${tokenizer.vocabSize} tokens)`);
  console.log(`more: npm run sample -- --run ${target} --prompt ${isNumbers ? '"1 2"' : '"The"'}`);
  return 0;
}
