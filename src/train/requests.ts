// What the hooks ask of the training loop between two steps. If the run has several processes, all
// of them do it at the same step, whichever rank's hook asked.

import type { Communicator } from "../distributed/communicator.ts";
import type { TrainHooks } from "./hooks.ts";

export interface Requests {
  readonly save: boolean;
  readonly pause: boolean;
  readonly stop: boolean;
}

const NOTHING: Requests = { save: false, pause: false, stop: false };

/**
 * The number of steps after which ranks agree again where they run ahead of their devices: in each
 * step, a GPU would wait for its host.
 */
const INTERVAL = 8;

/** Returns true if the ranks of a run agree before a step. */
export function agreesAt(step: number, { size }: Communicator, isHost: boolean): boolean {
  return size === 1 || isHost || step % INTERVAL === 0;
}

/** Returns the hooks of a rank: those that report are called on rank 0 only. */
export function hooksOfRank(hooks: TrainHooks, { rank }: Communicator): TrainHooks {
  if (rank === 0) return hooks;
  const { stop, save, paused } = hooks;
  return { stop, save, paused };
}

/** Asks the hooks, and returns what any rank requests; nothing if `isDue` is false. */
export function askHooks(hooks: TrainHooks, communicator: Communicator, isDue = true): Requests {
  if (!isDue) return NOTHING;
  const answers = [hooks.save?.(), hooks.paused?.(), hooks.stop?.()];
  const counts = Float64Array.from(answers, (answer) => (answer ? 1 : 0));
  communicator.sum(counts);
  const [save, pause, stop] = Array.from(counts, (count) => count > 0);
  return { save, pause, stop };
}
