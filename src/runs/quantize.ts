// The folder of a run made small: the same files, so that all that reads a run reads it too.

import { copyFileSync, existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Device } from "../backend/device.ts";
import { GPT } from "../gpt/model.ts";
import { quantize } from "../gpt/quantize.ts";
import { saveSafetensors } from "../files/safetensors.ts";
import type { Bits } from "../ops/quantized.ts";
import { writeJSON } from "./checkpoint.ts";
import { loadRun } from "./load.ts";
import { UsageError } from "../errors.ts";

/**
 * Writes the best checkpoint of a run into a new folder, its weights in 8 bits or in 4; its options
 * and its tokenizer go along. There is nothing in it to go on training from.
 */
export function quantizeRun(
  run: string,
  options: { out: string; bits: Bits; device: Device },
): void {
  const { out, bits, device } = options;
  if (existsSync(join(out, "config.json"))) throw new UsageError(`out: ${out} holds a run already`);
  const { model, state, config } = loadRun(run, device);
  if (!(model instanceof GPT))
    throw new UsageError(`run: ${run} holds a bigram model; only a GPT can be quantized`);
  const small = quantize(model, { bits });
  const best = join(out, "best");
  mkdirSync(best, { recursive: true });
  const metadata = { bits: String(bits), step: String(state.step) };
  saveSafetensors(join(best, "model.safetensors"), small.stateDict(), metadata);
  writeJSON(join(best, "state.json"), state);
  // adapters are merged: nothing is left of how the weights came to be
  const { initFrom, freeze, loraRank, loraAlpha, ...own } = config;
  writeJSON(join(out, "config.json"), own);
  copyFileSync(join(run, "tokenizer.json"), join(out, "tokenizer.json"));
}
