// Writes a quantized copy of a run. It has the same files, so every command that reads a run can
// read it.

import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Device } from "../backend/device.ts";
import { UsageError } from "../errors.ts";
import { replaceFile, writeJSON } from "../files/durable.ts";
import { partialName, writeFolder } from "../files/output.ts";
import { encodeSafetensors, readTensorInfo } from "../files/safetensors.ts";
import { sha256, sha256OfFiles } from "../files/sha256.ts";
import { GPT } from "../gpt/model.ts";
import { quantize } from "../gpt/quantize.ts";
import type { Bits } from "../ops/quantized.ts";
import { copyChatFormat } from "./chat-format.ts";
import type { CheckpointName } from "./choose.ts";
import { writeConfig } from "./config-file.ts";
import { checkOutside } from "./folder.ts";
import { loadRun } from "./load.ts";

/** Options of quantizeRun(): the new folder, the bits per weight, and what to read. */
interface QuantizeOptions {
  out: string;
  bits: Bits;
  device: Device;
  checkpoint?: CheckpointName;
  base?: string;
  /** Accepts that the folder exists, if it holds the same copy. */
  reuse?: boolean;
}

/**
 * Writes a checkpoint of a run, by default the one that chooseCheckpoint() returns, to a new folder
 * with 8 or 4 bits per weight, together with its configuration and its tokenizer. The copy has no
 * optimizer state and cannot be trained.
 */
export function quantizeRun(run: string, options: QuantizeOptions): void {
  const { out, bits, reuse = false } = options;
  checkOutside(out, run);
  if (!existsSync(join(out, "config.json")) || existsSync(join(out, partialName))) {
    writeQuantized(run, options);
    return;
  }
  if (reuse && isQuantizedRun(out, bits)) {
    const file = join(out, "best", "model.safetensors");
    if (sha256(encodeQuantized(run, options).weights) === sha256OfFiles([file])) return;
  }
  throw new UsageError(`out: ${out} holds a run already; choose another folder`);
}

function writeQuantized(run: string, options: QuantizeOptions): void {
  writeFolder(options.out, (folder) => {
    const { weights, state, config } = encodeQuantized(run, options);
    mkdirSync(join(folder, "best"));
    replaceFile(join(folder, "best", "model.safetensors"), weights);
    writeJSON(join(folder, "best", "state.json"), state);
    // adapters are merged, so the copy no longer depends on a base model
    const { initFrom, freeze, loraRank, loraAlpha, ...ownConfig } = config;
    writeConfig(folder, ownConfig);
    // not copyFileSync(), which would copy a read-only mode
    replaceFile(join(folder, "tokenizer.json"), [readFileSync(join(run, "tokenizer.json"))]);
    copyChatFormat(run, folder);
  });
}

function encodeQuantized(run: string, { bits, device, checkpoint, base }: QuantizeOptions) {
  const { model, state, config } = loadRun(run, device, checkpoint && [checkpoint], { base });
  if (!(model instanceof GPT))
    throw new UsageError(`run: ${run} holds a bigram model; only a GPT can be quantized`);
  const metadata = { bits: String(bits), step: String(state.step) };
  const weights = encodeSafetensors(quantize(model, { bits }).stateDict(), metadata);
  return { weights, state, config };
}

/** Returns true if a folder holds a run that was quantized to `bits` bits. */
function isQuantizedRun(out: string, bits: Bits): boolean {
  const files = [join(out, "config.json"), join(out, "best", "model.safetensors")];
  if (!files.every((file) => existsSync(file))) return false;
  let found: string | undefined;
  try {
    readTensorInfo(files[1], (_, metadata) => {
      found = metadata.bits;
    });
  } catch {} // damaged, so not the same
  return found === String(bits);
}
