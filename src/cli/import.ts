// tinybard import: converts a Hugging Face model to the folder of a run.

import { device } from "../backend/devices.ts";
import { countParameters } from "../gpt/language-model.ts";
import { formatCommand } from "../installation.ts";
import { defaultImportFolder, importRun } from "../runs/import.ts";
import type { TrainConfig } from "../train/config.ts";
import { type Command, deviceOption } from "./command.ts";

interface ImportFlags {
  from: string;
  out?: string;
  blockSize?: number;
  device: TrainConfig["device"];
}

export const importCommand: Command<ImportFlags> = {
  summary: "import a GPT-2, Llama or Qwen model from Hugging Face transformers",
  writesFiles: true,
  options: {
    from: {
      type: "string",
      help: "folder of the model, with config.json and model.safetensors",
      required: true,
      value: "DIR",
    },
    out: {
      type: "string",
      help: "folder of the new run (default: runs/ and the name of the model's folder)",
      value: "DIR",
    },
    blockSize: {
      type: "integer",
      help: "shorten the context to N tokens, for models with rotary positions",
      min: 1,
      value: "N",
    },
    device: deviceOption,
  },
  operand: "from",

  async run({ from, out = defaultImportFolder(from), device: deviceName, blockSize }) {
    const imported = importRun(from, out, device(deviceName), { blockSize });
    const { model, config, tokenizer } = imported;
    const { nLayer, nEmbd } = config;
    const millions = (countParameters(model) / 1e6).toFixed(6);
    console.log(
      `${millions} M parameters: ${nLayer} blocks, embedding dimension ${nEmbd}, ` +
        `context of ${config.blockSize} tokens`,
    );
    const hasVocabulary = config.tokenizer !== "ids";
    const tokenizerName = hasVocabulary
      ? config.tokenizer
      : "token ids, because the folder has no vocabulary";
    console.log(`tokenizer: ${tokenizerName} (${tokenizer.vocabSize} tokens)`);
    const prompt = hasVocabulary ? '"The"' : '"1 2"';
    console.log(`try: ${formatCommand("sample", `--run ${out} --prompt ${prompt}`)}`);
    return 0;
  },
};
