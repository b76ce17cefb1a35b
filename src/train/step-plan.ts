// The number of steps of a run with a time budget, as it was estimated from time to time. The
// estimates define the learning rate of each step, so a run that is given them repeats another one.

import { quote, UsageError } from "../errors.ts";

/** The largest number of steps that is estimated: its digits can be parsed. */
const MAX_STEPS = 1e12;

/** From step `step` on, `left` steps were left, and the schedule had reached `share`. */
interface Estimate {
  step: number;
  left: number;
  share: number;
}

/**
 * Estimates of the number of steps. In between, the share of the schedule rises linearly, towards 1
 * at the end that was last estimated: it has no jumps and never falls.
 */
export class StepPlan {
  readonly #estimates: Estimate[] = [];

  /**
   * Parses what toString() returns. Throws a UsageError, which begins with `source`, for any other
   * text.
   */
  constructor(text = "", source = "estimates") {
    for (const part of text === "" ? [] : text.split(" ")) {
      const [, step, left] = /^(\d{1,15}):(\d{1,15})$/.exec(part) ?? [];
      const isNext = step !== undefined && Number(step) >= (this.#estimates.at(-1)?.step ?? 0);
      if (!isNext)
        throw new UsageError(
          `${source}: estimates is ${quote(text)}, ` +
            "expected STEP:LEFT pairs of ascending steps, such as 1:900 2:1000",
        );
      this.add(Number(step), Number(left));
    }
  }

  /** The estimated number of steps of the whole run; Infinity before the first estimate. */
  get total(): number {
    const last = this.#estimates.at(-1);
    return last ? last.step + last.left : Infinity;
  }

  /** Adds the estimate that from step `step` on, `left` steps are left. */
  add(step: number, left: number): void {
    const { share } = this.at(step);
    this.#estimates.push({ step, left: Math.min(left, MAX_STEPS), share });
  }

  /** Returns the share of the schedule at a step, and the number of steps estimated then. */
  at(step: number): { share: number; total: number } {
    const estimate = this.#estimates.findLast((candidate) => candidate.step <= step);
    if (!estimate) return { share: 0, total: this.#estimates[0]?.step ?? 1 };
    const { left, share } = estimate;
    const passed = step - estimate.step;
    const total = estimate.step + left;
    return { share: passed >= left ? 1 : share + (passed / left) * (1 - share), total };
  }

  /** Returns the estimates as STEP:LEFT pairs, such as `1:900 2:1000`. */
  toString(): string {
    return this.#estimates.map(({ step, left }) => `${step}:${left}`).join(" ");
  }
}

/** Returns the plan of a run with a time budget or with recorded estimates; null for others. */
export function makePlan(config: { maxSeconds?: number; estimates?: string }): StepPlan | null {
  const { maxSeconds, estimates } = config;
  return maxSeconds === undefined && estimates === undefined ? null : new StepPlan(estimates);
}
