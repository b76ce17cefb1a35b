// The program of a rank that trains: runs the jobs of its argument, a JSON list, one after the
// other, and prints a line of JSON for each. Without a launcher it trains alone.

import { type TrainConfig, train } from "tinybard";
import { launchedRank } from "#src/distributed/process-group.js";
import type { TrainHooks } from "#src/train/hooks.js";

/** A request by the hooks of one rank, from their call-th call on. */
export interface Request {
  readonly kind: "stop" | "save" | "pause" | "throw";
  readonly rank: number;
  readonly call: number;
}

export interface Job {
  readonly options: Partial<TrainConfig> & { resume?: string };
  readonly request?: Request;
}

/** The end of a job on one rank. */
export interface Outcome {
  readonly rank: number;
  readonly job: number;
  readonly step: number;
  readonly stopped: boolean;
  /** The steps of saves that a hook requested; on rank 0 only. */
  readonly saved: readonly number[];
  /** The number of calls of paused() that returned true. */
  readonly pauses: number;
}

const PAUSES = 2;
const rank = launchedRank();
const jobs = JSON.parse(process.argv[2]) as Job[];
for (const [job, { options, request }] of jobs.entries()) {
  let calls = 0;
  let pauses = 0;
  const saved: number[] = [];
  const isRequested = (kind: Request["kind"]) =>
    request?.kind === kind && request.rank === rank && ++calls >= request.call;
  const hooks: TrainHooks = {
    stop() {
      if (isRequested("throw")) throw new Error("a hook has failed");
      return isRequested("stop");
    },
    save: () => isRequested("save") && calls === request?.call,
    saved: (step) => saved.push(step),
    paused() {
      if (!isRequested("pause") || pauses === PAUSES) return false;
      pauses++;
      return true;
    },
  };
  const { state, stopped } = await train(options, hooks);
  const outcome: Outcome = { rank, job, step: state.step, stopped, saved, pauses };
  console.log(JSON.stringify(outcome));
}
