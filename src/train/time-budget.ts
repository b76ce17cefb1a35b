// The time budget of a run, --max-seconds: estimates from time to time how many steps it still has.

import type { TrainConfig } from "./config.ts";
import type { StepPlan } from "./step-plan.ts";

/** The share of the steps that are left after which their number is estimated again. */
const INTERVAL = 0.1;

/** Returns the number of steps of a run: that of its plan if it has a time budget. */
export function totalSteps(run: { config: TrainConfig; plan: StepPlan | null }): number {
  const { maxIters, maxSeconds } = run.config;
  const estimated = maxSeconds === undefined ? Infinity : (run.plan?.total ?? Infinity);
  return Math.min(estimated, maxIters);
}

/** Adds estimates to the plan of a run. They rest on the speed of its own steps. */
export class TimeBudget {
  readonly #plan: StepPlan;
  readonly #limit: { steps: number; seconds: number };
  readonly #first: number; // the step that this process began with
  #last: { step: number; seconds: number }; // at the last estimate
  #next: number; // the step of the next estimate
  #secondsPerStep: number | null;

  /** `seconds` is the time of training before `step`, in an earlier process. */
  constructor(
    plan: StepPlan,
    limit: { steps: number; seconds: number },
    { step, seconds }: { step: number; seconds: number },
  ) {
    this.#plan = plan;
    this.#limit = limit;
    this.#first = step;
    this.#last = { step, seconds };
    this.#next = step + 1;
    this.#secondsPerStep = step > 0 && seconds > 0 ? seconds / step : null;
  }

  /** Returns true if an estimate is due before a step, or if the time is over. */
  isDue(step: number, seconds: number): boolean {
    return step > this.#last.step && (step >= this.#next || seconds >= this.#limit.seconds);
  }

  /** Adds and returns the number of steps that are left before a step, after `seconds`. */
  estimate(step: number, seconds: number): number {
    const measured = Math.max(seconds - this.#last.seconds, 1e-6) / (step - this.#last.step);
    // the mean of the last and the earlier ones: the first steps of a process are slow
    this.#secondsPerStep =
      this.#secondsPerStep === null ? measured : (this.#secondsPerStep + measured) / 2;
    const secondsLeft = Math.max(0, this.#limit.seconds - seconds);
    const left = Math.floor(secondsLeft / this.#secondsPerStep);
    const estimate = Math.min(left, this.#limit.steps - step);
    this.#plan.add(step, estimate);
    this.#last = { step, seconds };
    const interval = Math.min(step - this.#first, Math.ceil(INTERVAL * left));
    this.#next = step + Math.max(1, interval);
    return estimate;
  }
}
