// The training loop: evaluate, save, take a step, log. The step itself is in step.ts. A stopped run
// resumes bit for bit, since all its random numbers depend on the number of the step alone.

import { join } from "node:path";
import { setImmediate as nextTask, setTimeout as sleep } from "node:timers/promises";
import { UsageError } from "../errors.ts";
import { saveCheckpoint } from "../runs/checkpoint.ts";
import type { CheckpointName } from "../runs/choose.ts";
import { writeConfig } from "../runs/config-file.ts";
import type { MetricsRow } from "../runs/metrics.ts";
import { MetricsLog } from "../runs/metrics-log.ts";
import { withRun } from "../runs/open.ts";
import type { Run } from "../runs/run.ts";
import { TrainClock } from "./clock.ts";
import type { TrainConfig } from "./config.ts";
import { checkEvaluation, checkWeights } from "./divergence.ts";
import { type Losses, makeEvaluator } from "./evaluate.ts";
import type { TrainHooks } from "./hooks.ts";
import { makeResult, type TrainResult } from "./result.ts";
import { makeSchedule } from "./schedule.ts";
import { type StepResult, TrainStep } from "./step.ts";
import { totalSteps } from "./time-budget.ts";

export type { TrainHooks, TrainResult };

/**
 * Trains a model. Options that are left out have the defaults that `tinybard train --help` lists.
 * `resume` is the folder of a run to continue with its recorded options. maxIters and maxSeconds
 * may differ; data and initFrom may name other places of the same text and base model; device and
 * dtype another device. Until it ends, no other process can write to the run's folder.
 * Throws a UsageError for wrong options, a DivergedError if a loss, a gradient or a weight becomes
 * NaN or infinite, and a FileError if a checkpoint cannot be saved.
 * @example
 * const { valLoss } = await train({ data: "input.txt", preset: "bigram", maxIters: 2, out: "run"
 * }); console.log(valLoss > 0);
 */
export async function train(
  options: Partial<TrainConfig> & { resume?: string } = {},
  hooks: TrainHooks = {},
): Promise<TrainResult> {
  if (typeof options !== "object") throw new UsageError(`train: options are ${options}`);
  const start = async (run: Run) => {
    const warn = (message: string) =>
      hooks.warning ? hooks.warning(message) : process.emitWarning(message);
    const metrics = new MetricsLog(run.out, run.state.step, warn);
    await hooks.start?.(run);
    const { precisionFallback } = run.device;
    if (run.config.matmulPrecision === "medium" && precisionFallback) warn(precisionFallback);
    return new TrainLoop(run, hooks, metrics).run();
  };
  return withRun(options, start, hooks.preparing);
}

/** The state of a training run between two steps. */
class TrainLoop {
  readonly #run: Run;
  readonly #hooks: TrainHooks;
  readonly #metrics: MetricsLog;
  readonly #trainStep: TrainStep;
  readonly #evaluate: ReturnType<typeof makeEvaluator>;
  readonly #lrAt: (step: number) => number;
  readonly #clock: TrainClock;
  #step: number;
  #evaluation: Losses | null; // of this step
  /** The lowest validation loss so far. */
  #best: number;
  /**
   * The lowest one that checkpoints record: without a final evaluation between two intervals, so
   * that a resumed run equals one that was not interrupted.
   */
  #bestValLoss: number | null;
  #secondsSinceLog = 0;
  #stepsSinceLog = 0;

  constructor(run: Run, hooks: TrainHooks, metrics: MetricsLog) {
    const { step, evaluation, bestValLoss } = run.state;
    this.#run = run;
    this.#hooks = hooks;
    this.#metrics = metrics;
    this.#trainStep = new TrainStep(run);
    this.#evaluate = makeEvaluator(run);
    this.#lrAt = makeSchedule(run.config, run.plan);
    this.#clock = new TrainClock(run);
    this.#step = step;
    this.#evaluation = evaluation;
    this.#bestValLoss = bestValLoss;
    this.#best = bestValLoss ?? Infinity;
  }

  async run(): Promise<TrainResult> {
    const { optimizer } = this.#run;
    for (; ; this.#step++) {
      await this.#evaluateIfDue();
      if (this.#step >= totalSteps(this.#run) && this.#evaluation) return this.#finish();
      this.#saveIfRequested();
      await this.#waitWhilePaused();
      if (this.#isStopped()) return this.#stop();
      const start = performance.now();
      optimizer.lr = this.#lrAt(this.#step);
      this.#takeStep();
      this.#evaluation = null;
      await nextTask(); // lets signal handlers and finalizers run
      this.#clock.countStep(this.#step + 1, start, () => this.#flush());
    }
  }

  /** Evaluates and saves at step 0, at each evalInterval and at the end. */
  async #evaluateIfDue(): Promise<void> {
    const { evalInterval } = this.#run.config;
    const step = this.#step;
    const isRegular = step % evalInterval === 0;
    if (this.#evaluation || !(isRegular || step >= totalSteps(this.#run))) return;
    const losses = await this.#evaluate(step, {
      isStopped: () => this.#isStopped(),
      progress: (done, total) => this.#hooks.evaluating?.({ step, done, total }),
    });
    this.#evaluation = losses;
    if (!losses) return; // stopped
    checkEvaluation(this.#run.model, step, losses);
    const isBest = losses.valLoss < this.#best;
    this.#best = Math.min(this.#best, losses.valLoss);
    if (isRegular) this.#bestValLoss = this.#best;
    this.#hooks.evaluation?.({ step, ...losses });
    this.#save(isBest ? ["best", "last"] : ["last"]);
  }

  /** Runs the step and reports any results that are already available. */
  #takeStep(): void {
    const { evalInterval, logInterval } = this.#run.config;
    const step = this.#step;
    const isLogged = step % logInterval === 0 || this.#evaluation !== null;
    const evaluatesNext = step + 1 >= totalSteps(this.#run) || (step + 1) % evalInterval === 0;
    this.#stepsSinceLog++;
    this.#timed(() => this.#trainStep.run(step));
    if (isLogged || evaluatesNext || this.#trainStep.shouldFlush) this.#flush(isLogged);
  }

  /** Waits for all steps and reports their results. Throws a DivergedError if a loss is NaN. */
  #flush(isLogged = false): void {
    const results = this.#timed(() => this.#trainStep.flush());
    for (const result of results) this.#report(result, isLogged);
  }

  /** Calls a function whose time counts for the tokens per second. */
  #timed<T>(fn: () => T): T {
    const start = performance.now();
    const result = fn();
    this.#secondsSinceLog += (performance.now() - start) / 1000;
    return result;
  }

  #report({ step, loss, gradNorm }: StepResult, isLogged: boolean): void {
    const { gradAccum, batchSize, blockSize } = this.#run.config;
    const tokens = this.#stepsSinceLog * gradAccum * batchSize * blockSize;
    const isCurrent = step === this.#step;
    const row: MetricsRow = {
      step,
      loss,
      lr: this.#lrAt(step),
      gradNorm,
      tokensPerSecond: Math.round(tokens / this.#secondsSinceLog),
      elapsedSeconds: this.#clock.elapsedSeconds,
      ...(isCurrent && this.#evaluation),
    };
    this.#hooks.step?.(row);
    if (!isCurrent || !isLogged) return;
    this.#log(row);
    this.#secondsSinceLog = 0;
    this.#stepsSinceLog = 0;
  }

  #log(row: MetricsRow): void {
    this.#run.folder.check();
    this.#metrics.append(row);
    this.#hooks.logged?.(row);
  }

  #saveIfRequested(): void {
    if (!this.#hooks.save?.()) return;
    this.#flush(); // throws instead of saving after a NaN loss
    this.#save(["last"]);
    this.#hooks.saved?.(this.#step);
  }

  async #waitWhilePaused(): Promise<void> {
    let since = performance.now();
    while (this.#hooks.paused?.() && !this.#isStopped()) {
      await sleep(50);
      this.#saveIfRequested();
      this.#clock.skip(since); // a pause does not count as training time
      since = performance.now();
    }
  }

  #isStopped(): boolean {
    return this.#hooks.stop?.() ?? false;
  }

  /** Saves checkpoints in the folders `best` or `last` of the run, or in both. */
  #save(names: CheckpointName[]): void {
    const run = this.#run;
    checkWeights(run.model, this.#step);
    run.state = {
      ...run.state,
      step: this.#step,
      evaluation: this.#evaluation,
      bestValLoss: this.#bestValLoss,
      elapsedSeconds: this.#clock.elapsedSeconds,
    };
    if (run.config.maxSeconds !== undefined) {
      run.state.trainSeconds = this.#clock.trainSeconds;
      run.state.estimates = String(run.plan);
    }
    run.folder.check();
    this.#metrics.sync();
    for (const name of names)
      saveCheckpoint(join(run.out, name), run.model, run.optimizer, run.state, run.ema);
    this.#metrics.plot();
  }

  #stop(): TrainResult {
    this.#flush();
    this.#save(["last"]);
    this.#metrics.plot({ isFinal: true });
    return this.#result(true);
  }

  #finish(): TrainResult {
    const { out, config, state } = this.#run;
    const { elapsedSeconds } = this.#clock;
    this.#log({ step: this.#step, elapsedSeconds, ...this.#evaluation });
    if (config.maxSeconds !== undefined)
      writeConfig(out, { ...config, estimates: state.estimates });
    this.#metrics.sync();
    this.#metrics.plot({ isFinal: true });
    return this.#result(false);
  }

  /** Returns the result; its model has the weights that were evaluated and saved. */
  #result(stopped: boolean): TrainResult {
    this.#run.ema?.swap();
    const bestValLoss = Number.isFinite(this.#best) ? this.#best : null;
    return makeResult(this.#run, this.#clock.trainSeconds, { stopped, bestValLoss });
  }
}
