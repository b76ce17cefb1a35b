// Writes a quantized copy of a run. It has the same files, so every command that reads a run can
// read it.

import { copyFileSync, existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Device } from "../backend/device.ts";
import { UsageError } from "../errors.ts";
import { writeJSON } from "../files/durable.ts";
import { saveSafetensors } from "../files/safetensors.ts";
import { GPT } from "../gpt/model.ts";
import { quantize } from "../gpt/quantize.ts";
import type { Bits } from "../ops/quantized.ts";
import type { CheckpointName } from "./choose.ts";
import { loadRun } from "./load.ts";

/**
 * Writes a checkpoint of a run, by default the one that chooseCheckpoint() returns, to a new folder
 * with 8 or 4 bits per weight, together with its configuration and its tokenizer. The copy has no
 * optimizer state and cannot be trained.
 */
export function quantizeRun(
  run: string,
  options: { out: string; bits: Bits; device: Device; checkpoint?: CheckpointName },
): void {
  const { out, bits, device, checkpoint } = options;
  if (existsSync(join(out, "config.json"))) throw new UsageError(`out: ${out} holds a run already`);
  const { model, state, config } = loadRun(run, device, checkpoint && [checkpoint]);
  if (!(model instanceof GPT))
    throw new UsageError(`run: ${run} holds a bigram model; only a GPT can be quantized`);
  const quantized = quantize(model, { bits });
  const best = join(out, "best");
  mkdirSync(best, { recursive: true });
  const metadata = { bits: String(bits), step: String(state.step) };
  saveSafetensors(join(best, "model.safetensors"), quantized.stateDict(), metadata);
  writeJSON(join(best, "state.json"), state);
  // adapters are merged, so the copy no longer depends on a base model
  const { initFrom, freeze, loraRank, loraAlpha, ...ownConfig } = config;
  writeJSON(join(out, "config.json"), ownConfig);
  copyFileSync(join(run, "tokenizer.json"), join(out, "tokenizer.json"));
}
