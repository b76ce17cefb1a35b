// The times of a run: since its start, and of its steps alone, which a time budget limits.

import type { Run } from "../runs/run.ts";
import { TimeBudget } from "./time-budget.ts";

/** Measures the times of a run. They continue those of its earlier processes. */
export class TrainClock {
  readonly #budget: TimeBudget | null = null;
  #startTime: number; // in ms, as if training had never been interrupted
  #trainSeconds: number;

  constructor({ config, state, plan }: Pick<Run, "config" | "state" | "plan">) {
    const { step, elapsedSeconds, trainSeconds = elapsedSeconds } = state;
    const { maxIters: steps, maxSeconds: seconds } = config;
    this.#startTime = performance.now() - 1000 * elapsedSeconds;
    this.#trainSeconds = trainSeconds;
    if (plan && seconds !== undefined)
      this.#budget = new TimeBudget(plan, { steps, seconds }, { step, seconds: trainSeconds });
  }

  /** The time since the start in seconds, to the millisecond, without pauses. */
  get elapsedSeconds(): number {
    return Math.round(performance.now() - this.#startTime) / 1000;
  }

  /** The part of it that steps took: not evaluations and checkpoints. */
  get trainSeconds(): number {
    return Math.round(1000 * this.#trainSeconds) / 1000;
  }

  /** Leaves out a pause, which began at `since`. */
  skip(since: number): void {
    this.#startTime += performance.now() - since;
  }

  /**
   * Counts the time of the step before `next`, which began at `start`, and estimates the number of
   * steps if that is due. Before, calls `wait`, which waits for the device.
   */
  countStep(next: number, start: number, wait: () => void): void {
    const before = this.#trainSeconds;
    const count = () => {
      this.#trainSeconds = before + (performance.now() - start) / 1000;
      return this.#trainSeconds;
    };
    const seconds = count();
    if (!this.#budget?.isDue(next, seconds)) return;
    wait();
    this.#budget.estimate(next, count());
  }
}
