// tinybard import: a GPT-2 of Hugging Face becomes the folder of a run.

import { device } from "../backend/devices.ts";
import { UsageError } from "../errors.ts";
import { countParameters } from "../gpt/language-model.ts";
import { getDefaults, type OptionTable } from "../options.ts";
import { importedName, importRun } from "../runs/import.ts";
import { type TrainConfig, trainOptions } from "../train/config.ts";

export const importTable: OptionTable = {
  from: { type: "string", help: "the folder: config.json, model.safetensors", value: "DIR" },
  out: { type: "string", help: "the run's folder (default: runs/ and its name)", value: "DIR" },
  device: trainOptions.device,
};

interface Flags {
  from?: string;
  out?: string;
  device: TrainConfig["device"];
}

export async function importModel(flags: Partial<Flags>): Promise<number> {
  const { from, out, device: name } = { ...getDefaults<Flags>(importTable), ...flags };
  if (!from) throw new UsageError("import: DIR is missing: the folder of a GPT-2");
  const target = out ?? importedName(from);
  const { model, config, tokenizer } = importRun(from, target, device(name));
  const { nLayer, nEmbd, blockSize } = config;
  const millions = (countParameters(model) / 1e6).toFixed(6);
  console.log(`${millions} M parameters: ${nLayer} blocks, width ${nEmbd}, ${blockSize} tokens`);
  const isNumbers = config.tokenizer === "ids";
  const what = isNumbers ? "token ids, since the folder has no vocabulary" : config.tokenizer;
  console.log(`text: ${what} (${tokenizer.vocabSize} tokens)`);
  console.log(`more: npm run sample -- --run ${target} --prompt ${isNumbers ? '"1 2"' : '"The"'}`);
  return 0;
}
