// Atomic checkpoints: the weights, the optimizer state and the state of the run are replaced
// together. After a crash at any moment, a folder holds the old checkpoint or the new one.

import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { syncFolder, writeSynced } from "../files/durable.ts";
import { readJSONObject } from "../files/json.ts";
import {
  encodeSafetensors,
  type HeaderCheck,
  loadSafetensors,
  readSafetensors,
  type TensorDict,
} from "../files/safetensors.ts";
import { adapterState, type Module, type StateDict } from "../nn/index.ts";
import type { AdamW } from "../optim/index.ts";

/** The progress of a run, and the checksums of its inputs. */
export interface RunState {
  step: number;
  /** The losses at this step, if they have been evaluated. */
  evaluation: { trainLoss: number; valLoss: number } | null;
  bestValLoss: number | null;
  elapsedSeconds: number;
  /** The checksum of the training text: a run can only be resumed with the same text. */
  textSha256: string;
  /** The checksum of the tokenizer's JSON; missing in runs of old versions. */
  tokenizerSha256?: string;
  /** The checksum of the base model's weights, for a run with LoRA adapters. */
  baseSha256?: string;
}

// Files are written in this order under temporary names, and then renamed in the same order. So if
// the first temporary file exists, writing was interrupted; if only later ones exist, renaming was.
const fileNames = ["state.json", "optimizer.safetensors", "model.safetensors"];

/**
 * Writes a checkpoint to a folder, replacing the previous one. For a model with adapters it holds
 * only the adapters, because all other weights are unchanged. Without an optimizer, the checkpoint
 * cannot be resumed.
 */
export function saveCheckpoint(
  folder: string,
  model: Module,
  optimizer: AdamW | null,
  state: RunState,
): void {
  mkdirSync(folder, { recursive: true });
  recover(folder);
  const metadata = { step: String(state.step) };
  const contents = [
    [new TextEncoder().encode(`${JSON.stringify(state, null, 2)}\n`)],
    optimizer && encodeSafetensors(optimizer.stateDict(), metadata),
    encodeSafetensors(getSavedWeights(model), metadata),
  ];
  for (const [i, name] of fileNames.entries()) {
    const chunks = contents[i];
    if (chunks) writeSynced(join(folder, `${name}.tmp`), chunks);
  }
  syncFolder(folder);
  commit(folder);
}

/** Reads the state of the checkpoint in a folder; returns null if there is none. */
export function loadState(folder: string): RunState | null {
  const file = locate(folder, "state.json");
  return existsSync(file) ? (readJSONObject(file) as unknown as RunState) : null;
}

/**
 * Reads the state and the weights of the checkpoint in a folder; returns null if there is none.
 * Another process may be writing the next checkpoint at the same time, so this retries until the
 * state and the weights are from the same step. `prepare` is called with the state, and
 * returns a check of the header of the weights, which is called before they are read.
 */
export function readCheckpoint(
  folder: string,
  prepare?: (state: RunState) => HeaderCheck,
): { state: RunState; weights: ReturnType<typeof readSafetensors> } | null {
  const attempts = 5;
  for (let attempt = 1; ; attempt++) {
    try {
      const state = loadState(folder);
      if (!state) return null;
      const weights = readSafetensors(locate(folder, "model.safetensors"), prepare?.(state));
      const { step } = weights.metadata;
      if (step === undefined || step === String(state.step)) return { state, weights };
      if (attempt === attempts)
        throw new Error(`${folder}: weights are from step ${step}, state is from ${state.step}`);
    } catch (error) {
      if (attempt === attempts) throw error; // otherwise, a file may just have been renamed
    }
  }
}

/** Loads the weights of the checkpoint in a folder, and the optimizer state if one is passed. */
export function loadCheckpoint(folder: string, model: Module, optimizer?: AdamW): void {
  loadWeights(folder, model, loadSafetensors(locate(folder, "model.safetensors")));
  optimizer?.loadStateDict(loadSafetensors(locate(folder, "optimizer.safetensors")));
}

/** Loads a checkpoint's weights. Throws unless their names are exactly those that are saved. */
export function loadWeights(folder: string, model: Module, dict: TensorDict): void {
  const expected = getSavedWeights(model);
  const unknown = Object.keys(dict).find((name) => !(name in expected));
  if (unknown) throw new Error(`${folder}: ${unknown} is unknown`);
  const missing = Object.keys(expected).find((name) => !(name in dict));
  if (missing) throw new Error(`${folder}: ${missing} is missing`);
  model.loadStateDict(dict, { strict: false }); // with adapters, it lacks the base weights
}

/** Returns the weights that a checkpoint stores: the adapters, or all weights if there are none. */
function getSavedWeights(model: Module): StateDict {
  const adapters = adapterState(model);
  return Object.keys(adapters).length > 0 ? adapters : model.stateDict();
}

/**
 * Returns the path from which to read a file of a checkpoint: the temporary name if renaming was
 * interrupted. Readers do not repair the folder, because its writer may still be running.
 */
export function locate(folder: string, name: string): string {
  const isComplete = !existsSync(join(folder, `${fileNames[0]}.tmp`));
  const temporary = join(folder, `${name}.tmp`);
  return isComplete && existsSync(temporary) ? temporary : join(folder, name);
}

/** Completes or discards an interrupted checkpoint. Only the writer of the folder may call it. */
export function recover(folder: string): void {
  const [first, ...rest] = fileNames.map((name) => join(folder, `${name}.tmp`));
  if (existsSync(first)) {
    for (const file of [...rest, first]) rmSync(file, { force: true });
  } else if (rest.some((file) => existsSync(file))) {
    commit(folder);
  }
}

function commit(folder: string): void {
  for (const name of fileNames) {
    const temporary = join(folder, `${name}.tmp`);
    if (existsSync(temporary)) renameSync(temporary, join(folder, name));
  }
  syncFolder(folder);
}
