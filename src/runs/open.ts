// Opens the folder of a run for training: a new one, or one to continue.

import type { OnPrepareProgress } from "../data/prepare/job.ts";
import { closeTokens } from "../data/tokens.ts";
import type { TrainConfig } from "../train/config.ts";
import { resumeRun } from "./resume.ts";
import { type Run, startRun } from "./run.ts";

/**
 * Starts a run, or resumes the one in the folder `resume`, and passes it to `use`. Until that ends,
 * nobody else can write to the run's folder. If it fails before the first checkpoint, the folder of
 * a new run is removed.
 */
export async function withRun<T>(
  { resume, ...options }: Partial<TrainConfig> & { resume?: string },
  use: (run: Run) => Promise<T>,
  onProgress?: OnPrepareProgress,
): Promise<T> {
  const run = await (resume === undefined
    ? startRun(options, onProgress)
    : resumeRun(resume, options, onProgress));
  const { folder, device, tokens } = run;
  const releaseTuning = device.tuning?.hold();
  try {
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
