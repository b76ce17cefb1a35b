// The progress of training and of evaluations: one line that is rewritten in place on a terminal, a
// line now and then where stdout is a file or a pipe.

import { countParameters } from "../gpt/language-model.ts";
import type { MetricsRow } from "../runs/metrics.ts";
import type { Run } from "../runs/run.ts";
import type { EvaluationProgress } from "../train/hooks.ts";
import { flopsPerToken, measurePeak } from "../train/mfu.ts";
import { totalSteps } from "../train/time-budget.ts";

const INTERVAL = 100; // the minimum milliseconds between updates of the line on a terminal
/** The milliseconds between two lines about an evaluation, and before the first one. */
const LINE_INTERVAL = 30_000;
const FIRST_LINE = 5000;

/** Estimates the remaining time from the time that the steps so far have taken. */
class Estimate {
  #first: { time: number; step: number } | null = null;

  /** Formats `, 3 min 12 s left`; returns "" at the first step, whose time is not known. */
  describe(step: number, total: number): string {
    const now = performance.now();
    this.#first ??= { time: now, step };
    const steps = step - this.#first.step;
    if (steps <= 0 || total === Infinity) return "";
    const millisecondsPerStep = (now - this.#first.time) / steps;
    return `, ${formatDuration((total - step) * millisecondsPerStep)} left`;
  }
}

/** Reports the progress of training. `isTerminal` rewrites one line instead of adding lines. */
export class Progress {
  readonly #isTerminal: boolean;
  readonly #training = new Estimate();
  #evaluation = new Estimate();
  #lastUpdate = 0; // of the line on a terminal
  #lastLine = performance.now();
  #isFirstLine = true; // of this evaluation
  #peakFlops = 0;
  #flopsPerToken = 0;

  constructor(isTerminal: boolean) {
    this.#isTerminal = isTerminal;
  }

  /** Shows the step, loss, tokens/s, MFU and remaining time on a terminal. */
  showStep({ step, loss = 0, tokensPerSecond = 0 }: MetricsRow, run: Run): void {
    this.#lastLine = performance.now(); // an evaluation may follow
    if (!this.#isTerminal) return;
    this.#peakFlops ||= measurePeak(run);
    this.#flopsPerToken ||= flopsPerToken(countParameters(run.model), run.config);
    const total = totalSteps(run);
    const mfu = (100 * tokensPerSecond * this.#flopsPerToken) / this.#peakFlops;
    const left = this.#training.describe(step, total);
    const speed = `${tokensPerSecond} tokens/s, MFU ${mfu.toFixed(0)} %`;
    this.#rewrite(`step ${formatStep(step, total)}, loss ${loss.toFixed(4)}, ${speed}${left}`);
  }

  /** Prints `iter 500/5000: loss 1.6464, 30000 tokens/s, 2 min 3 s left` where no line is shown. */
  printRow({ step, loss, tokensPerSecond }: MetricsRow, run: Run): void {
    if (this.#isTerminal || loss === undefined) return;
    const total = totalSteps(run);
    const left = this.#training.describe(step, total);
    console.log(
      `iter ${formatStep(step, total)}: ` +
        `loss ${loss.toFixed(4)}, ${tokensPerSecond} tokens/s${left}`,
    );
  }

  /** Shows the progress of an evaluation that takes longer than some seconds. */
  showEvaluation({ step, done, total }: EvaluationProgress): void {
    if (done === 1) {
      this.#evaluation = new Estimate();
      this.#isFirstLine = true;
    }
    const left = this.#evaluation.describe(done, total);
    const line = `evaluating at step ${step}: ${done}/${total} batches${left}`;
    if (this.#isTerminal) {
      this.#rewrite(line);
      return;
    }
    const now = performance.now();
    const interval = this.#isFirstLine ? FIRST_LINE : LINE_INTERVAL;
    if (now - this.#lastLine < interval || done === total) return;
    this.#lastLine = now;
    this.#isFirstLine = false;
    console.log(line);
  }

  /** Removes the line from the terminal. */
  clear(): void {
    if (this.#lastUpdate) process.stdout.write("\r\x1b[K");
  }

  #rewrite(line: string): void {
    const now = performance.now();
    if (now - this.#lastUpdate < INTERVAL) return;
    this.#lastUpdate = now;
    process.stdout.write(`\r\x1b[K${line}`);
  }
}

/** Formats `500/5000`; `500` if the number of steps is not known yet. */
function formatStep(step: number, total: number): string {
  return total === Infinity ? String(step) : `${step}/${total}`;
}

/** Formats a time as 12 s, 3 min 12 s or 2 h 5 min. */
export function formatDuration(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1000);
  if (seconds < 60) return `${seconds} s`;
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  return hours ? `${hours} h ${minutes} min` : `${minutes} min ${seconds % 60} s`;
}
