// Atomic checkpoints: the weights, the optimizer state and the state of the run are replaced
// together. After a crash at any moment, a folder holds the old checkpoint or the new one.

import { existsSync, mkdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { OutOfMemoryError } from "../backend/device.ts";
import { shorten, UsageError } from "../errors.ts";
import {
  removeIfPossible,
  renameFile,
  retryWhileOpen,
  syncFolder,
  writeSynced,
} from "../files/durable.ts";
import { toFileError } from "../files/file-error.ts";
import { readJSONObject } from "../files/json.ts";
import {
  encodeSafetensors,
  type HeaderCheck,
  loadSafetensors,
  readSafetensors,
  readTensorInfo,
  type TensorDict,
} from "../files/safetensors.ts";
import { reject } from "../files/safetensors-header.ts";
import { checkShapes } from "../gpt/shapes.ts";
import type { Module } from "../nn/index.ts";
import type { AnyOptimizer, EMA } from "../optim/index.ts";
import { checkState, type RunState } from "./state.ts";
import {
  getOptimizerState,
  getSavedWeights,
  loadOptimizerState,
  type Trainable,
} from "./training-state.ts";

export type { RunState };

// Files are written in this order under temporary names, and then renamed in the same order. So if
// the first temporary file exists, writing was interrupted; if only later ones exist, renaming was.
const fileNames = ["state.json", "optimizer.safetensors", "model.safetensors"];

/**
 * Writes a checkpoint to a folder, replacing the previous one. For a model with adapters it holds
 * only the adapters, because all other weights are unchanged; with an average of the weights, it
 * holds that. Without an optimizer, the checkpoint
 * cannot be resumed. The folder is created if necessary, but not its parent, the folder of the run.
 * If a file cannot be written, throws a FileError, and the previous checkpoint is unchanged.
 */
export function saveCheckpoint(
  folder: string,
  model: Module,
  optimizer: AnyOptimizer | null,
  state: RunState,
  ema: EMA | null = null,
): void {
  makeFolder(folder);
  recover(folder);
  const metadata = { step: String(state.step) };
  const contents = [
    [new TextEncoder().encode(`${JSON.stringify(state, null, 2)}\n`)],
    optimizer && encodeSafetensors(getOptimizerState({ model, optimizer, ema }), metadata),
    encodeSafetensors(getSavedWeights(model, ema), metadata),
  ];
  try {
    for (const [i, name] of fileNames.entries()) {
      const chunks = contents[i];
      if (chunks) writeSynced(join(folder, `${name}.tmp`), chunks);
    }
    syncFolder(folder);
  } catch (error) {
    discard(folder);
    throw error;
  }
  commit(folder);
}

/** Creates the folder of a checkpoint durably, unless it exists. */
function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  try {
    mkdirSync(folder);
  } catch (error) {
    throw toFileError(folder, error);
  }
  syncFolder(dirname(folder));
}

/**
 * Reads the state of the checkpoint in a folder; returns null if there is none. Throws a FileError
 * if it is damaged.
 */
export function loadState(folder: string): RunState | null {
  const file = locate(folder, "state.json");
  return existsSync(file) ? checkState(file, readJSONObject(file)) : null;
}

/**
 * Reads the state like loadState(). Throws a SafetensorsError if the weights or the optimizer state
 * are those of another step, for example because one file was restored from a backup.
 */
export function loadConsistentState(folder: string): RunState | null {
  const state = loadState(folder);
  if (!state) return null;
  for (const name of fileNames.slice(1)) {
    const file = locate(folder, name);
    if (existsSync(file)) readTensorInfo(file, (_, metadata) => checkStep(metadata, state));
  }
  return state;
}

/** Throws unless the metadata of a file has the step of the state; old versions wrote no step. */
function checkStep({ step }: Record<string, string>, state: RunState): void {
  if (step !== undefined && step !== String(state.step))
    reject(`from step ${shorten(step)}, but the state.json beside it is from step ${state.step}`);
}

/**
 * Reads the state of the checkpoint in a folder; returns null if there is none. Throws if the state
 * or the header of the weights is damaged, or if they are from different steps.
 */
export function loadReadableState(folder: string): RunState | null {
  return retry(() => {
    const state = loadState(folder);
    const file = locate(folder, "model.safetensors");
    if (state) readTensorInfo(file, (_, metadata) => checkStep(metadata, state));
    return state;
  });
}

/**
 * Reads the state and the weights of the checkpoint in a folder; returns null if there is none.
 * Throws if they are damaged, or from different steps. `prepare` is called with the state, and
 * returns a check of the header of the weights, which is called before they are read.
 */
export function readCheckpoint(
  folder: string,
  prepare?: (state: RunState) => HeaderCheck,
): { state: RunState; weights: ReturnType<typeof readSafetensors> } | null {
  return retry(() => {
    const state = loadState(folder);
    if (!state) return null;
    const check = prepare?.(state);
    const weights = readSafetensors(locate(folder, "model.safetensors"), (tensors, metadata) => {
      checkStep(metadata, state);
      check?.(tensors, metadata);
    });
    return { state, weights };
  });
}

/** Retries reading, because another process may be renaming the files of the next checkpoint. */
function retry<T>(read: () => T): T {
  const attempts = 5;
  for (let attempt = 1; ; attempt++) {
    try {
      return read();
    } catch (error) {
      const isFinal = error instanceof UsageError || error instanceof OutOfMemoryError;
      if (isFinal || attempt === attempts) throw error;
    }
  }
}

/**
 * Loads the weights of the checkpoint in a folder, and the optimizer state if one is passed. Throws
 * before anything is changed if the files are from different steps.
 */
export function loadCheckpoint(
  folder: string,
  model: Module,
  optimizer?: AnyOptimizer,
  ema: EMA | null = null,
): void {
  loadConsistentState(folder);
  loadWeights(folder, model, loadSafetensors(locate(folder, "model.safetensors")));
  if (!optimizer) return;
  const trainable: Trainable = { model, optimizer, ema };
  const own = Object.entries(getOptimizerState(trainable));
  const shapes = new Map(own.map(([name, { shape }]) => [name, shape]));
  const { tensors } = readSafetensors(locate(folder, "optimizer.safetensors"), (found) =>
    checkShapes(found, shapes, "the model", reject),
  );
  loadOptimizerState(trainable, tensors);
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
    for (const file of [...rest, first]) retryWhileOpen(() => rmSync(file, { force: true }));
  } else if (rest.some((file) => existsSync(file))) {
    commit(folder);
  }
}

/** Removes what was written of a checkpoint, as far as that is possible. */
function discard(folder: string): void {
  const [first, ...rest] = fileNames.map((name) => join(folder, `${name}.tmp`));
  for (const file of rest) removeIfPossible(file);
  // while others are left, the first one marks them as incomplete
  if (!rest.some((file) => existsSync(file))) removeIfPossible(first);
}

function commit(folder: string): void {
  for (const name of fileNames) {
    const temporary = join(folder, `${name}.tmp`);
    try {
      if (existsSync(temporary)) renameFile(temporary, join(folder, name));
    } catch (error) {
      throw toFileError(join(folder, name), error);
    }
  }
  syncFolder(folder);
}
