// Resumes a run from its last checkpoint.

import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Device } from "../backend/device.ts";
import { device as getDevice } from "../backend/devices.ts";
import { loadData } from "../data/load.ts";
import type { OnPrepareProgress } from "../data/prepare/job.ts";
import { defined, UsageError } from "../errors.ts";
import { FileError } from "../files/file-error.ts";
import { readTensorInfo } from "../files/safetensors.ts";
import { loadTokenizer } from "../tokenizers/io.ts";
import type { TrainConfig } from "../train/config.ts";
import { makePlan, StepPlan } from "../train/step-plan.ts";
import { totalSteps } from "../train/time-budget.ts";
import {
  loadCheckpoint,
  loadConsistentState,
  loadState,
  type RunState,
  recover,
} from "./checkpoint.ts";
import { checkpointNames } from "./choose.ts";
import { writeConfig } from "./config-file.ts";
import { findData } from "./find-data.ts";
import { hasStarted, lockRunFolder, type RunFolder } from "./folder.ts";
import { checkBase, loadBase, loadPretrained, readConfig, readTokenizer } from "./load.ts";
import type { OpenCallbacks } from "./open-callbacks.ts";
import { assembleRun, type Run } from "./run.ts";
import { checkWeightShapes } from "./shapes.ts";

/** Options that may change: what was moved is verified by its checksum, and a device may differ. */
const changeable: readonly string[] = [
  "maxIters",
  "maxSeconds",
  "data",
  "device",
  "dtype",
  "initFrom",
];

/**
 * Restores a run from its last checkpoint, with its recorded options; without one, it starts again
 * at step 0. maxIters may change, and the time budget, maxSeconds; data and initFrom may name other
 * places of the same text and of the same base model, verified by their SHA-256; device another
 * device, and with it dtype. Other options may be passed if their values equal the recorded ones.
 */
export async function resumeRun(
  out: string,
  options: Partial<TrainConfig> = {},
  { check, preparing }: OpenCallbacks = {},
): Promise<Run> {
  const recorded = readConfig(out); // throws if the folder is not a run
  check?.(recorded, findDevice(recorded, defined(options)));
  const folder = lockRunFolder(out);
  try {
    return await restore(folder, readConfig(out), defined(options), preparing);
  } catch (error) {
    folder.release();
    throw error;
  }
}

async function restore(
  folder: RunFolder,
  recorded: TrainConfig,
  options: Partial<TrainConfig>,
  onProgress: OnPrepareProgress | undefined,
): Promise<Run> {
  const out = folder.path;
  for (const name of checkpointNames) recover(join(out, name));
  const checkpoint = findCheckpoint(out);
  checkOptions(out, recorded, options, checkpoint !== undefined);
  const device = findDevice(recorded, options);
  const { maxIters, maxSeconds, dtype } = { ...recorded, ...options };
  const config = { ...recorded, maxIters, dtype, device: device.name };
  if (maxSeconds !== undefined) config.maxSeconds = maxSeconds;
  const run = checkpoint
    ? await loadSaved(folder, checkpoint, config, options, recorded.maxSeconds, onProgress)
    : await startAgain(folder, config, onProgress);
  run.device.tuning?.load(join(out, "matmul.txt"));
  if (JSON.stringify(config) !== JSON.stringify(recorded)) writeConfig(out, config);
  return run;
}

/** Returns the folder of the checkpoint to resume from; undefined if there is none yet. */
function findCheckpoint(out: string): string | undefined {
  const last = join(out, "last");
  if (loadState(last)) return last;
  if (existsSync(join(last, "model.safetensors")))
    throw new FileError(
      `${join(last, "state.json")}: missing; restore it, or delete ${last} to resume from best/`,
    );
  // a run that was killed between its first two checkpoints, at step 0, has only the first
  const best = join(out, "best");
  const state = loadState(best);
  if (state && state.step > 0)
    process.emitWarning(`${last} is missing; resuming from ${best}, step ${state.step}`);
  return state ? best : undefined;
}

/** Builds a run, and loads its checkpoint. Updates the places of its inputs in `config`. */
async function loadSaved(
  folder: RunFolder,
  checkpoint: string,
  config: TrainConfig,
  { data, initFrom }: Partial<TrainConfig>,
  recordedSeconds: number | undefined,
  onProgress: OnPrepareProgress | undefined,
): Promise<Run> {
  const out = folder.path;
  const saved = loadConsistentState(checkpoint) as RunState;
  const optimizerFile = join(checkpoint, "optimizer.safetensors");
  if (!existsSync(optimizerFile)) {
    const reason = saved.step === 0 ? "the model was imported, not trained" : "it is missing";
    throw new UsageError(
      `resume: ${out} has no ${optimizerFile}: ${reason}; use --init-from ${out}`,
    );
  }
  if (config.maxIters < saved.step)
    throw new UsageError(`resume: maxIters is ${config.maxIters}, expected ${saved.step} or more`);
  const plan = continuePlan(config, saved, recordedSeconds);
  const tokenizer = readTokenizer(out, saved);
  readTensorInfo(join(checkpoint, "model.safetensors"), (tensors) =>
    checkWeightShapes(tensors, config, tokenizer.vocabSize),
  );
  const places =
    data === undefined ? [config.data, ...(saved.formerData ? [saved.formerData] : [])] : [data];
  const found = await findData(out, places, saved.textSha256, tokenizer, onProgress);
  if (found.source !== config.data) saved.formerData = config.data;
  config.data = found.source;
  const base = loadBase(out, config, saved, getDevice(config.device), { base: initFrom });
  if (base) checkBase(out, config, tokenizer, base);
  if (base) config.initFrom = resolve(base.folder);
  const run = assembleRun(config, folder, found, tokenizer, base);
  loadCheckpoint(checkpoint, run.model, run.optimizer, run.ema);
  // a longer run has no evaluation at the step where the shorter one ended
  const isLast = saved.step >= totalSteps({ config, plan });
  const isScheduled = saved.step % config.evalInterval === 0 || isLast;
  return { ...run, plan, state: { ...saved, evaluation: isScheduled ? saved.evaluation : null } };
}

/** Returns the plan of a run that continues, if it has one: another time budget is planned anew. */
function continuePlan(
  config: TrainConfig,
  { step, elapsedSeconds, trainSeconds = elapsedSeconds, estimates }: RunState,
  recordedSeconds: number | undefined,
): StepPlan | null {
  const { maxSeconds } = config;
  if (maxSeconds === undefined) return makePlan(config);
  const plan = new StepPlan(estimates);
  if (maxSeconds === recordedSeconds) return plan;
  if (maxSeconds < trainSeconds)
    throw new UsageError(`resume: maxSeconds is ${maxSeconds}, expected ${trainSeconds} or more`);
  if (trainSeconds > 0)
    plan.add(step, Math.floor(((maxSeconds - trainSeconds) / trainSeconds) * step));
  return plan;
}

/** Builds a run that was killed before its first checkpoint. */
async function startAgain(
  folder: RunFolder,
  config: TrainConfig,
  onProgress: OnPrepareProgress | undefined,
): Promise<Run> {
  const { initFrom } = config;
  if (hasStarted(folder.path))
    throw new UsageError(`resume: the checkpoint of ${folder.path} has no state.json`);
  const tokenizer = loadTokenizer(join(folder.path, "tokenizer.json"));
  const pretrained = initFrom ? loadPretrained(initFrom, getDevice(config.device)) : null;
  const data = await loadData(config.data, tokenizer, onProgress);
  return assembleRun(config, folder, data, tokenizer, pretrained);
}

/** Throws a UsageError if an option differs from the recorded one and cannot change. */
function checkOptions(
  out: string,
  recorded: TrainConfig,
  options: Partial<TrainConfig>,
  hasCheckpoint: boolean,
): void {
  for (const [key, value] of Object.entries(options)) {
    const current = key === "out" ? out : recorded[key as keyof TrainConfig];
    if (value === current) continue;
    if (key === "maxSeconds" && current === undefined)
      throw new UsageError(`resume: ${out} has no time budget, so maxSeconds cannot be set`);
    const isOther = key === "initFrom" && recorded.loraRank === undefined;
    const isUnverifiable = !hasCheckpoint && (key === "data" || key === "initFrom");
    if (isUnverifiable && resolve(String(value)) !== current)
      throw new UsageError(
        `resume: ${out} has no checkpoint yet, so ${key} cannot change from ${current}; ` +
          `start it again with --out ${out}`,
      );
    if (!changeable.includes(key) || (isOther && resolve(String(value)) !== current))
      throw new UsageError(
        `resume: ${key} is ${current} in ${out} and cannot change; ` +
          "only maxIters, maxSeconds and device can, " +
          "and data and initFrom if their content is the same",
      );
  }
}

/** Returns the device to resume on. Throws a UsageError if it cannot do what the run needs. */
function findDevice(recorded: TrainConfig, options: Partial<TrainConfig>): Device {
  const { device: name, dtype = recorded.dtype } = options;
  let device: Device;
  try {
    device = getDevice(name ?? recorded.device);
  } catch (error) {
    if (name !== undefined) throw error;
    throw new UsageError(
      `resume: ${(error as Error).message}; --device auto continues on another device`,
    );
  }
  if (dtype !== "f32" && device.memory.isHost)
    throw new UsageError(
      `resume: dtype: ${dtype} is not supported on ${device} (only on cuda); ` +
        "--dtype f32 continues with it",
    );
  if (dtype !== recorded.dtype && device.name === recorded.device)
    throw new UsageError(
      `resume: dtype is ${recorded.dtype} and cannot change on the same device, ${device}`,
    );
  return device;
}
