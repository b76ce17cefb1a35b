// Chooses the checkpoint of a run that commands read.

import { join } from "node:path";
import { UsageError } from "../errors.ts";
import { loadReadableState, type RunState } from "./checkpoint.ts";

/** The checkpoints of a run: the one with the lowest validation loss, and the newest one. */
export const checkpointNames = ["best", "last"] as const;
export type CheckpointName = (typeof checkpointNames)[number];

export interface ChosenCheckpoint {
  name: CheckpointName;
  state: RunState;
  /** The reason of the choice and the way to the other checkpoint; empty without a choice. */
  reason: string;
}

/**
 * Returns the requested checkpoint of a run. By default it is the best one; but the last one if the
 * best one is from step 0, because that is an untrained model, or if its files are damaged. Throws
 * a UsageError without a checkpoint, and a FileError or SafetensorsError if all are damaged.
 */
export function chooseCheckpoint(out: string, requested?: CheckpointName): ChosenCheckpoint {
  const found: { name: CheckpointName; state: RunState }[] = [];
  let problem: Error | null = null;
  for (const name of requested ? [requested] : checkpointNames) {
    try {
      const state = loadReadableState(join(out, name));
      if (state) found.push({ name, state });
    } catch (error) {
      problem = error as Error;
    }
  }
  const [first, last] = found;
  if (!first) {
    const missing = requested ? `no checkpoint ${requested}/` : "no checkpoint yet";
    throw problem ?? new UsageError(`run: ${out} has ${missing}`);
  }
  if (!last) return { ...first, reason: problem?.message ?? "" };
  const best = first;
  if (best.state.step === 0 && last.state.step > 0)
    return { ...last, reason: "best/ is from step 0, before training; see --checkpoint best" };
  if (best.state.step >= last.state.step) return { ...best, reason: "" };
  const newer = `last/ is from step ${last.state.step}; see --checkpoint last`;
  return { ...best, reason: `the lowest validation loss; ${newer}` };
}
