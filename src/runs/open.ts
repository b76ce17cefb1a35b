// Opens the folder of a run for training: a new one, or one to continue.

import type { OnPrepareProgress } from "../data/prepare/job.ts";
import { closeTokens } from "../data/tokens.ts";
import { type Communicator, singleProcess } from "../distributed/communicator.ts";
import type { TrainConfig } from "../train/config.ts";
import type { OpenCallbacks } from "./open-callbacks.ts";
import { openOnFirstRank, receiveRun, sendRun } from "./ranks.ts";
import { resumeRun } from "./resume.ts";
import { type Run, startRun } from "./run.ts";

/**
 * Starts a run, or resumes the one in the folder `resume`, and passes it to `use`. Until that ends,
 * nobody else can write to the run's folder. If it fails before the first checkpoint, the folder of
 * a new run is removed. Collective: rank 0 opens the run for all.
 */
export async function withRun<T>(
  { resume, ...options }: Partial<TrainConfig> & { resume?: string },
  use: (run: Run) => Promise<T>,
  onProgress?: OnPrepareProgress,
  communicator: Communicator = singleProcess,
): Promise<T> {
  const { rank, size } = communicator;
  const open = (callbacks: OpenCallbacks) =>
    resume === undefined ? startRun(options, callbacks) : resumeRun(resume, options, callbacks);
  let run: Run;
  if (size === 1) run = await open({ preparing: onProgress });
  else if (rank === 0) run = await openOnFirstRank(communicator, open, onProgress);
  else run = receiveRun(communicator, options.data);
  run.processes = size;
  const { folder, device, tokens } = run;
  const releaseTuning = device.tuning?.hold();
  try {
    if (size > 1 && rank === 0) sendRun(communicator, run);
    return await use(run);
  } catch (error) {
    folder.discard();
    throw error;
  } finally {
    releaseTuning?.();
    closeTokens(tokens.train, tokens.val);
    folder.release();
  }
}
