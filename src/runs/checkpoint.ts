// Checkpoints that survive a kill at any moment: weights, the optimizer's memory and the state of
// the run change together or not at all.

import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { syncFolder, writeSynced } from "../files/durable.ts";
import {
  encodeSafetensors,
  loadSafetensors,
  readSafetensors,
  type TensorDict,
} from "../files/safetensors.ts";
import { adapterState, type Module, type StateDict } from "../nn/index.ts";
import type { AdamW } from "../optim/index.ts";

/** Where a run stands. The losses are those of the evaluation at this step, if there was one. */
export interface RunState {
  step: number;
  evaluation: { trainLoss: number; valLoss: number } | null;
  bestValLoss: number | null;
  elapsedSeconds: number;
  /** Of the text that is learned from: a run goes on only with the same. */
  textSha256: string;
  /** Of the tokenizer's JSON; runs from before there were several have none. */
  tokenizerSha256?: string;
  /** Of the weights that adapters stand on: they mean something with these only. */
  baseSha256?: string;
}

// In this order they are written under temporary names, and then renamed. So a first temporary file
// tells that the checkpoint was not all written; later ones without it, that only renaming was
// left.
const files = ["state.json", "optimizer.safetensors", "model.safetensors"];

/**
 * Writes a checkpoint into a folder, in the place of the one there. Of a model with adapters it
 * holds these alone: all else is as it was. Without an optimizer nobody can go on from it.
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
    encodeSafetensors(savedState(model), metadata),
  ];
  for (const [i, name] of files.entries()) {
    const chunks = contents[i];
    if (chunks) writeSynced(join(folder, `${name}.tmp`), chunks);
  }
  syncFolder(folder);
  commit(folder);
}

/** The state of the checkpoint in a folder; null if there is none. */
export function loadState(folder: string): RunState | null {
  const file = current(folder, "state.json");
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : null;
}

/**
 * The state and the weights of the checkpoint in a folder, of the same step; null if there is none.
 * Somebody may be writing the next one meanwhile.
 */
export function readCheckpoint(
  folder: string,
): { state: RunState; weights: ReturnType<typeof readSafetensors> } | null {
  for (let attempt = 1; ; attempt++) {
    try {
      const state = loadState(folder);
      if (!state) return null;
      const weights = readSafetensors(current(folder, "model.safetensors"));
      const { step } = weights.metadata;
      if (step === undefined || step === String(state.step)) return { state, weights };
      if (attempt === 5)
        throw new Error(`${folder}: the weights are of step ${step}, the state of ${state.step}`);
    } catch (error) {
      if (attempt === 5) throw error; // else a file may have got its name just now
    }
  }
}

/** Loads the weights of the checkpoint in a folder and, if one is given, the optimizer's memory. */
export function loadCheckpoint(folder: string, model: Module, optimizer?: AdamW): void {
  loadWeights(folder, model, loadSafetensors(current(folder, "model.safetensors")));
  optimizer?.loadStateDict(loadSafetensors(current(folder, "optimizer.safetensors")));
}

/** Gives a model the weights that were read from a folder: all that a checkpoint holds of it. */
export function loadWeights(folder: string, model: Module, dict: TensorDict): void {
  const saved = savedState(model);
  const isKnown = (name: string) => name in saved;
  const stray = Object.keys({ ...dict, ...saved }).find((name) => !(name in dict && isKnown(name)));
  if (stray) throw new Error(`${folder}: ${stray} is ${isKnown(stray) ? "missing" : "unknown"}`);
  model.loadStateDict(dict, { strict: false });
}

/** What a checkpoint holds of a model. */
function savedState(model: Module): StateDict {
  const adapters = adapterState(model);
  return Object.keys(adapters).length > 0 ? adapters : model.stateDict();
}

/** Puts a value as JSON in the place of a file, as replaceFile() does. */
export function writeJSON(file: string, value: unknown): void {
  replaceFile(file, `${JSON.stringify(value, null, 2)}\n`);
}

/** Puts a text in the place of a file: whatever happens, the file is the old or the new one. */
export function replaceFile(file: string, text: string): void {
  writeSynced(`${file}.tmp`, [new TextEncoder().encode(text)]);
  renameSync(`${file}.tmp`, file);
  syncFolder(dirname(file));
}

/**
 * Where a file of a checkpoint lies for one who only reads: under its temporary name, if its
 * writing was cut short when all were written. A reader repairs nothing, since the writer may live.
 */
function current(folder: string, name: string): string {
  const [first, file] = [files[0], name].map((each) => join(folder, `${each}.tmp`));
  return !existsSync(first) && existsSync(file) ? file : join(folder, name);
}

/** Completes or drops a checkpoint whose writing was cut short: for who writes the next one. */
export function recover(folder: string): void {
  const [first, ...rest] = files.map((name) => join(folder, `${name}.tmp`));
  if (existsSync(first)) for (const file of [...rest, first]) rmSync(file, { force: true });
  else if (rest.some((file) => existsSync(file))) commit(folder);
}

function commit(folder: string): void {
  for (const name of files) {
    const temporary = join(folder, `${name}.tmp`);
    if (existsSync(temporary)) renameSync(temporary, join(folder, name));
  }
  syncFolder(folder);
}
