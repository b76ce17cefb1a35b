// The times of a run: since its start, and of its steps alone, which a time budget limits. If a run
// has several processes, the clock of rank 0 counts.

import { type Communicator, singleProcess } from "../distributed/communicator.ts";
import type { Run } from "../runs/run.ts";
import { agreesAt } from "./requests.ts";
import { TimeBudget } from "./time-budget.ts";

/** Measures the times of a run. They continue those of its earlier processes. */
export class TrainClock {
  readonly #run: Pick<Run, "config" | "device" | "plan">;
  readonly #communicator: Communicator;
  readonly #budget: TimeBudget | null = null;
  #startTime: number; // in ms, as if training had never been interrupted
  #trainSeconds: number;

  constructor(
    run: Pick<Run, "config" | "device" | "state" | "plan">,
    communicator: Communicator = singleProcess,
  ) {
    const { config, state, plan } = run;
    const { step, elapsedSeconds, trainSeconds = elapsedSeconds } = state;
    const { maxIters: steps, maxSeconds: seconds } = config;
    this.#run = run;
    this.#communicator = communicator;
    this.#startTime = performance.now() - 1000 * elapsedSeconds;
    this.#trainSeconds = trainSeconds;
    if (plan && seconds !== undefined && communicator.rank === 0)
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
    const { config, device, plan } = this.#run;
    if (!plan || config.maxSeconds === undefined) return;
    if (!agreesAt(next, this.#communicator, device.memory.isHost)) return;
    if (!this.#communicator.any(this.#budget?.isDue(next, seconds) ?? false)) return;
    wait();
    const left = Float64Array.of(this.#budget?.estimate(next, count()) ?? 0);
    this.#communicator.broadcastInto(left);
    if (!this.#budget) plan.add(next, left[0]);
  }
}
