// Resumes a run from its last checkpoint.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { device as getDevice } from "../backend/devices.ts";
import { loadCorpus } from "../data/corpus.ts";
import { UsageError } from "../errors.ts";
import { writeJSON } from "../files/durable.ts";
import { readTensorInfo } from "../files/safetensors.ts";
import type { TrainConfig } from "../train/config.ts";
import { loadCheckpoint, loadConsistentState, recover } from "./checkpoint.ts";
import { loadBase, readConfig, readTokenizer } from "./load.ts";
import { assembleRun, type Run } from "./run.ts";
import { checkWeightShapes } from "./shapes.ts";

/**
 * Restores a run from its last checkpoint, with its recorded options. Only maxIters can change;
 * other options may be passed if their values equal the recorded ones.
 */
export async function resumeRun(out: string, options: Partial<TrainConfig> = {}): Promise<Run> {
  const recorded = readConfig(out);
  const { maxIters = recorded.maxIters, ...others } = options;
  checkUnchanged(out, recorded, others);
  const config = { ...recorded, maxIters };
  for (const name of ["best", "last"]) recover(join(out, name));
  const saved = loadConsistentState(join(out, "last"));
  if (!saved) throw new UsageError(`resume: ${out} has no checkpoint yet`);
  if (!existsSync(join(out, "last", "optimizer.safetensors")))
    throw new UsageError(`resume: ${out} was imported, not trained; use --init-from ${out}`);
  if (maxIters < saved.step)
    throw new UsageError(`resume: maxIters is ${maxIters}, expected ${saved.step} or more`);
  const tokenizer = readTokenizer(out, saved);
  readTensorInfo(join(out, "last", "model.safetensors"), (tensors) =>
    checkWeightShapes(tensors, config, tokenizer.vocabSize),
  );
  const base = loadBase(out, config, saved, getDevice(config.device));
  const run = assembleRun(config, out, await loadCorpus(config.data), tokenizer, base);
  if (saved.textSha256 !== run.state.textSha256)
    throw new UsageError(`resume: ${run.corpus} is not the text that ${out} was trained on`);
  loadCheckpoint(join(out, "last"), run.model, run.optimizer);
  run.device.tuning?.load(join(out, "matmul.txt"));
  if (maxIters !== recorded.maxIters) writeJSON(join(out, "config.json"), config);
  // a longer run has no evaluation at the step where the shorter one ended
  const isScheduled = saved.step % config.evalInterval === 0 || saved.step === maxIters;
  return { ...run, state: { ...saved, evaluation: isScheduled ? saved.evaluation : null } };
}

/** Throws a UsageError if an option differs from the recorded one. */
function checkUnchanged(out: string, recorded: TrainConfig, options: Partial<TrainConfig>): void {
  for (const [key, value] of Object.entries(options)) {
    const current = key === "out" ? out : recorded[key as keyof TrainConfig];
    if (value !== undefined && value !== current)
      throw new UsageError(
        `resume: ${key} is ${current} in ${out} and cannot change; only maxIters can`,
      );
  }
}
