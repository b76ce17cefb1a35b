// tinybard sample: streams text from a trained model.

import { device } from "../backend/devices.ts";
import { UsageError } from "../errors.ts";
import { generate, type Sampling } from "../gpt/generate.ts";
import { getDefaults, type OptionTable } from "../options.ts";
import { loadRun } from "../runs/load.ts";
import { decodeStream, plainPrompt } from "../tokenizers/tokenizer.ts";
import { type TrainConfig, trainOptions } from "../train/config.ts";

export const sampleTable: OptionTable = {
  run: { type: "string", help: "the folder of a run", value: "DIR" },
  prompt: { type: "string", help: "the text to go on from (default: a line break)", value: "TEXT" },
  tokens: { type: "integer", help: "how many tokens to write", default: 500, min: 1, value: "N" },
  temperature: { type: "number", help: "0: always the likeliest", default: 1, min: 0, value: "X" },
  topK: { type: "integer", help: "draw from the N likeliest tokens only", min: 1, value: "N" },
  topP: {
    type: "number",
    help: "draw from the likeliest with this probability",
    min: 1e-9,
    max: 1,
  },
  seed: { type: "integer", help: "equal seeds, equal text", default: 1, min: 0, value: "N" },
  device: trainOptions.device,
};

interface Flags extends Sampling {
  run?: string;
  prompt?: string;
  tokens: number;
  seed: number;
  device: TrainConfig["device"];
}

export async function sampleRun(flags: Partial<Flags>): Promise<number> {
  const all = { ...getDefaults<Flags>(sampleTable), ...flags };
  const { run, prompt, tokens, device: name, ...options } = all;
  if (!run) throw new UsageError("sample: --run DIR is missing: the folder of a run");
  const { model, tokenizer } = loadRun(run, device(name));
  const ids = prompt === undefined ? plainPrompt(tokenizer) : tokenizer.encode(prompt);
  if (prompt?.trim()) process.stdout.write(prompt);
  const drawn = generate(model, { prompt: ids, maxNewTokens: tokens, ...options });
  for await (const text of decodeStream(tokenizer, drawn, ids)) process.stdout.write(text);
  process.stdout.write("\n");
  return 0;
}
