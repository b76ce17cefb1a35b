// The training loop: evaluate, save, take a step, log. The step itself is in step.ts. A stopped run
// resumes bit for bit, since all its random numbers depend on the number of the step alone.

import { setImmediate as nextTask, setTimeout as sleep } from "node:timers/promises";
import type { Communicator } from "../distributed/communicator.ts";
import { joinProcessGroup } from "../distributed/process-group.ts";
import { shareOf } from "../distributed/share.ts";
import { UsageError } from "../errors.ts";
import type { CheckpointName } from "../runs/choose.ts";
import type { MetricsRow } from "../runs/metrics.ts";
import { withRun } from "../runs/open.ts";
import { RunRecorder } from "../runs/recorder.ts";
import type { Run } from "../runs/run.ts";
import { type StepResult, TrainStep } from "./captured-step.ts";
import { TrainClock } from "./clock.ts";
import type { TrainConfig } from "./config.ts";
import { checkEvaluation, checkWeights } from "./divergence.ts";
import { type Losses, makeEvaluator } from "./evaluate.ts";
import type { TrainHooks } from "./hooks.ts";
import { getMatmulPrecision } from "./precision.ts";
import { agreesAt, askHooks, hooksOfRank, type Requests } from "./requests.ts";
import { makeResult, type TrainResult } from "./result.ts";
import { checkSameWeights } from "./same-weights.ts";
import { makeSchedule } from "./schedule.ts";
import { totalSteps } from "./time-budget.ts";

export type { TrainHooks, TrainResult };

/**
 * Trains a model. Options that are left out have the defaults that `tinybard train --help` lists.
 * `resume` is the folder of a run to continue with its recorded options. maxIters and maxSeconds
 * may differ; data and initFrom may name other places of the same text and base model; device and
 * dtype another device. Until it ends, no other process can write to the run's folder.
 * Processes that mpirun, srun or torchrun has started train together: rank 0 reads and writes all
 * files and calls all hooks; the others call stop(), save() and paused(), whose answers count too.
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
  const communicator = joinProcessGroup({ device: options.device });
  const own = hooksOfRank(hooks, communicator);
  const start = async (run: Run) => {
    const warn = (message: string) =>
      own.warning ? own.warning(message) : process.emitWarning(message);
    const isFirst = communicator.rank === 0;
    const recorder = new RunRecorder(run, warn, isFirst);
    await own.start?.(run);
    const { precisionFallback } = run.device;
    const isLower = getMatmulPrecision(run.config) === "medium" && precisionFallback !== "";
    if (isLower && isFirst) warn(precisionFallback);
    return new TrainLoop(run, own, recorder, communicator).run();
  };
  return withRun(options, start, own.preparing, communicator);
}

/** The state of a training run between two steps. */
class TrainLoop {
  readonly #run: Run;
  readonly #hooks: TrainHooks;
  readonly #recorder: RunRecorder;
  readonly #communicator: Communicator;
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

  constructor(run: Run, hooks: TrainHooks, recorder: RunRecorder, communicator: Communicator) {
    const { step, evaluation, bestValLoss } = run.state;
    this.#run = run;
    this.#hooks = hooks;
    this.#recorder = recorder;
    this.#communicator = communicator;
    this.#trainStep = new TrainStep(run, shareOf(run.config, communicator));
    this.#evaluate = makeEvaluator(run, communicator);
    this.#lrAt = makeSchedule(run.config, run.plan);
    this.#clock = new TrainClock(run, communicator);
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
      if ((await this.#obeyHooks()).stop) return this.#stop();
      const start = performance.now();
      optimizer.lr = this.#lrAt(this.#step);
      this.#takeStep();
      this.#evaluation = null;
      await nextTask(); // lets signal handlers and finalizers run
      this.#clock.countStep(this.#step + 1, start, () => this.#flush());
    }
  }

  get #isEvaluationDue(): boolean {
    const isRegular = this.#step % this.#run.config.evalInterval === 0;
    return !this.#evaluation && (isRegular || this.#step >= totalSteps(this.#run));
  }

  /** Evaluates and saves at step 0, at each evalInterval and at the end. */
  async #evaluateIfDue(): Promise<void> {
    const step = this.#step;
    if (!this.#isEvaluationDue) return;
    checkSameWeights(this.#run.model, step, this.#communicator);
    const losses = await this.#evaluate(step, {
      isStopped: () => this.#hooks.stop?.() ?? false,
      progress: (done, total) => this.#hooks.evaluating?.({ step, done, total }),
    });
    this.#evaluation = losses;
    if (!losses) return; // stopped
    checkEvaluation(this.#run.model, step, losses);
    const isBest = losses.valLoss < this.#best;
    this.#best = Math.min(this.#best, losses.valLoss);
    if (step % this.#run.config.evalInterval === 0) this.#bestValLoss = this.#best;
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
    this.#recorder.log(row);
    this.#hooks.logged?.(row);
  }

  /** Saves and pauses as the hooks ask. Returns what they ask in the end: to stop, or nothing. */
  async #obeyHooks(): Promise<Requests> {
    const isHost = this.#run.device.memory.isHost;
    // an evaluation that is still due has been interrupted
    const isDue = this.#isEvaluationDue || agreesAt(this.#step, this.#communicator, isHost);
    for (let since = performance.now(); ; since = performance.now()) {
      const requests = askHooks(this.#hooks, this.#communicator, isDue);
      if (requests.save) this.#saveNow();
      if (!requests.pause || requests.stop) return requests;
      await sleep(50);
      this.#clock.skip(since); // a pause does not count as training time
    }
  }

  #saveNow(): void {
    this.#flush(); // throws instead of saving after a NaN loss
    this.#save(["last"]);
    this.#hooks.saved?.(this.#step);
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
    this.#recorder.save(names);
  }

  #stop(): TrainResult {
    this.#flush();
    this.#save(["last"]);
    this.#recorder.stop();
    return this.#result(true);
  }

  #finish(): TrainResult {
    const { elapsedSeconds } = this.#clock;
    this.#log({ step: this.#step, elapsedSeconds, ...this.#evaluation });
    this.#recorder.finish();
    return this.#result(false);
  }

  /** Returns the result; its model has the weights that were evaluated and saved. */
  #result(stopped: boolean): TrainResult {
    this.#run.ema?.swap();
    const bestValLoss = Number.isFinite(this.#best) ? this.#best : null;
    return makeResult(this.#run, this.#clock.trainSeconds, { stopped, bestValLoss });
  }
}
