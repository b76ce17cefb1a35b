// The learning rate of each step of a run.

import {
  cosineSchedule,
  linearSchedule,
  type ScheduleOptions,
  warmupStableDecaySchedule,
} from "../optim/index.ts";
import type { TrainConfig } from "./config.ts";
import type { StepPlan } from "./step-plan.ts";

/**
 * Returns the function from a step to its learning rate. With a plan, the schedule ends with the
 * last step that is planned, otherwise at lrDecayIters.
 */
export function makeSchedule(config: TrainConfig, plan: StepPlan | null): (step: number) => number {
  const { schedule, warmupIters, lrDecayIters, warmupShare } = config;
  if (!plan) return makeRate(config, warmupIters, lrDecayIters || Infinity);
  return (step) => {
    const { share, total } = plan.at(step);
    const warmup = warmupShare === undefined ? warmupIters : warmupShare * total;
    return makeRate(config, warmup, schedule ? total : Infinity)(share * total);
  };
}

function makeRate(
  { learningRate: lr, minLr, schedule, decayShare }: TrainConfig,
  warmupIters: number,
  decayIters: number,
): (step: number) => number {
  const options: ScheduleOptions = { lr, minLr, warmupIters, decayIters };
  if (schedule === "linear") return linearSchedule(options);
  if (schedule === "wsd") return warmupStableDecaySchedule({ ...options, decayShare });
  return cosineSchedule(options);
}
