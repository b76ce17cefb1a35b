// tinybard sample: generates text with a trained model.

import { device } from "../backend/devices.ts";
import { generate, type Sampling } from "../gpt/generate.ts";
import { loadRun } from "../runs/load.ts";
import { decodeStream, defaultPrompt } from "../tokenizers/tokenizer.ts";
import type { TrainConfig } from "../train/config.ts";
import { type Command, deviceOption } from "./command.ts";
import { type RunFlags, runOptions, selectCheckpoint } from "./run-folder.ts";

interface SampleFlags extends Sampling, RunFlags {
  prompt?: string;
  tokens: number;
  seed: number;
  device: TrainConfig["device"];
}

export const sampleCommand: Command<SampleFlags> = {
  summary: "generate text with a trained model",
  options: {
    ...runOptions,
    prompt: { type: "string", help: "text to continue (default: a line break)", value: "TEXT" },
    tokens: {
      type: "integer",
      help: "number of tokens to generate",
      default: 500,
      min: 1,
      value: "N",
    },
    temperature: {
      type: "number",
      help: "sampling temperature; 0 always selects the most likely token",
      default: 1,
      min: 0,
      value: "X",
    },
    topK: {
      type: "integer",
      help: "sample only from the N most likely tokens",
      min: 1,
      value: "N",
    },
    topP: {
      type: "number",
      help: "sample only from the top tokens with total probability X (nucleus sampling)",
      min: 1e-9,
      max: 1,
    },
    seed: { type: "integer", help: "random seed", default: 1, min: 0, value: "N" },
    device: deviceOption,
  },

  async run({ run, checkpoint, base, prompt, tokens, device: deviceName, ...sampling }) {
    const chosen = selectCheckpoint("sample", { run, checkpoint });
    const { model, tokenizer } = loadRun(chosen.run, device(deviceName), [chosen.checkpoint], {
      base,
    });
    const promptIds = prompt === undefined ? defaultPrompt(tokenizer) : tokenizer.encode(prompt);
    if (prompt?.trim()) process.stdout.write(prompt);
    const ids = generate(model, { prompt: promptIds, maxNewTokens: tokens, ...sampling });
    for await (const text of decodeStream(tokenizer, ids, promptIds)) process.stdout.write(text);
    process.stdout.write("\n");
    return 0;
  },
};
