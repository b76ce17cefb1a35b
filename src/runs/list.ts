// The runs in a folder. A damaged run, or one that another process deletes meanwhile, must not hide
// the others: it is passed over, or listed with its problem.

import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { isFolder } from "../files/folder.ts";
import { isLocked } from "../files/lock.ts";
import { isHuggingFaceFolder } from "../gpt/hf-weights.ts";
import type { TrainConfig } from "../train/config.ts";
import { StepPlan } from "../train/step-plan.ts";
import { totalSteps } from "../train/time-budget.ts";
import { loadState, locate, type RunState } from "./checkpoint.ts";
import { checkpointNames, chooseCheckpoint } from "./choose.ts";
import { readConfig, readTokenizer } from "./load.ts";

export interface RunEntry {
  name: string;
  folder: string;
  /** The time of the newest checkpoint in ms since 1970; 0 if there is none. */
  modified: number;
}

/** Returns the folders in `parent` that have a config.json; the newest checkpoint comes first. */
export function findRuns(parent: string): RunEntry[] {
  const runs: RunEntry[] = [];
  for (const name of isFolder(parent) ? readdirSync(parent) : []) {
    const folder = join(parent, name);
    if (getModified(join(folder, "config.json")) === 0) continue;
    const times = checkpointNames.map((checkpoint) =>
      getModified(join(folder, checkpoint, "state.json")),
    );
    runs.push({ name, folder, modified: Math.max(...times) });
  }
  return runs.sort((a, b) => b.modified - a.modified || (a.name < b.name ? -1 : 1));
}

/**
 * Returns the folder of the run in `parent` with the newest checkpoint; null if there is none.
 * Damaged runs are passed over: `passOver` gets a line about each of them.
 */
export function findNewestRun(parent: string, passOver: (problem: string) => void): string | null {
  for (const { folder, modified } of findRuns(parent)) {
    if (modified === 0) return null;
    try {
      readConfig(folder);
      readTokenizer(folder, chooseCheckpoint(folder).state);
      return folder;
    } catch (error) {
      passOver((error as Error).message);
    }
  }
  return null;
}

export interface RunSummary {
  name: string;
  /** The preset, or the architecture and its sizes. */
  model: string;
  step: number | null;
  /** The number of steps; that of a run with a time budget is an estimate until it ends. */
  maxIters: number | null;
  /** The losses at the last evaluation. */
  trainLoss: number | null;
  valLoss: number | null;
  /** The lowest validation loss, and its step. */
  bestValLoss: number | null;
  bestStep: number | null;
  /** The time of the newest checkpoint (ISO 8601). */
  savedAt: string | null;
  /**
   * `training` is a run that a process is writing to. `weights only` cannot be resumed: an imported
   * or quantized model.
   */
  state: "training" | "finished" | "stopped" | "weights only" | "no checkpoint" | "damaged";
  /** The error of a damaged run. */
  problem?: string;
}

/** Summarizes a run from its config.json and the state of its checkpoints. */
export function summarizeRun({ name, folder, modified }: RunEntry): RunSummary | null {
  const summary: RunSummary = {
    name,
    model: "",
    step: null,
    maxIters: null,
    trainLoss: null,
    valLoss: null,
    bestValLoss: null,
    bestStep: null,
    savedAt: modified === 0 ? null : new Date(modified).toISOString(),
    state: "no checkpoint",
  };
  try {
    if (isHuggingFaceFolder(folder)) return null; // a Hugging Face model, not a run
    const config = readConfig(folder);
    summary.model = describeModel(config);
    const best = loadState(join(folder, "best"));
    const last = loadState(join(folder, "last"));
    for (const name of [best && "best", last && "last"]) {
      const weights = name && locate(join(folder, name), "model.safetensors");
      if (weights && !existsSync(weights)) throw new Error(`${weights}: no such file`);
    }
    const newest = last ?? best;
    const plan = config.maxSeconds === undefined ? null : new StepPlan(newest?.estimates);
    const steps = totalSteps({ config, plan });
    summary.maxIters = steps === Infinity ? null : steps;
    if (newest) addState(summary, folder, newest);
    summary.bestValLoss = best?.evaluation?.valLoss ?? null;
    summary.bestStep = best?.step ?? null;
    if (isLocked(folder)) summary.state = "training";
  } catch (error) {
    summary.state = "damaged";
    summary.problem = (error as Error).message;
  }
  return summary;
}

function addState(summary: RunSummary, folder: string, { step, evaluation }: RunState): void {
  summary.step = step;
  summary.trainLoss = evaluation?.trainLoss ?? null;
  summary.valLoss = evaluation?.valLoss ?? null;
  const isResumable = existsSync(join(folder, "last", "optimizer.safetensors"));
  if (!isResumable) summary.state = "weights only";
  else summary.state = step >= (summary.maxIters ?? Infinity) ? "finished" : "stopped";
}

function describeModel({ preset, model, nLayer, nEmbd }: TrainConfig): string {
  return preset ?? (model === "bigram" ? "bigram" : `gpt ${nLayer}x${nEmbd}`);
}

/** Returns the modification time of a regular file in milliseconds; 0 if there is none. */
function getModified(file: string): number {
  try {
    const stat = statSync(file, { throwIfNoEntry: false });
    return stat?.isFile() ? stat.mtimeMs : 0;
  } catch {
    return 0; // a file where a folder should be, or a folder without permission
  }
}
