// The training loop: draw a batch, compute the loss, send it back, step; now and then look at both
// losses and save. A stopped run goes on bit for bit, since every random number hangs on the number
// of its step.

import { join } from "node:path";
import { setImmediate as nextTask, setTimeout as sleep } from "node:timers/promises";
import { UsageError } from "../errors.ts";
import { cosineSchedule } from "../optim/index.ts";
import { saveCheckpoint } from "../runs/checkpoint.ts";
import { appendRow, plotLosses, type Row } from "../runs/metrics.ts";
import { type Run, resumeRun, startRun } from "../runs/run.ts";
import type { TrainConfig } from "./config.ts";
import { evaluator } from "./evaluate.ts";
import { Stepper } from "./step.ts";

/** What a caller may watch, and how it may hold or end a run; questions are asked between steps. */
export interface TrainHooks {
  start?(run: Run): void | Promise<void>;
  evaluation?(losses: { step: number; trainLoss: number; valLoss: number }): void;
  /** After each step. */
  step?(row: Row): void;
  /** With each line of metrics.jsonl. */
  logged?(row: Row): void;
  /** True saves and ends the run. */
  stop?(): boolean;
  /** True saves now. It is told when that has been done. */
  save?(): boolean;
  saved?(step: number): void;
  /** As long as it is true, training waits. */
  paused?(): boolean;
}

export interface TrainResult extends Run {
  /** hooks.stop() ended the run before maxIters; it can be resumed. */
  stopped: boolean;
  trainLoss: number | null;
  valLoss: number | null;
  bestValLoss: number | null;
}

/**
 * Trains a model as the options say; those left out are as `tinybard train --help` tells. `resume`
 * names the folder of a run to go on with, by its own options; only maxIters may be given beside
 * it.
 */
export async function train(
  options: Partial<TrainConfig> & { resume?: string } = {},
  hooks: TrainHooks = {},
): Promise<TrainResult> {
  if (typeof options !== "object") throw new UsageError(`train: options are ${options}`);
  const { resume, ...others } = options;
  const isNew = resume === undefined;
  const run = await (isNew ? startRun(others) : resumeRun(resume, others));
  await hooks.start?.(run);
  const { config, optimizer, out } = run;
  const stepper = new Stepper(run);
  const evaluate = evaluator(run);
  const rate = scheduleOf(config);
  const stopping = () => hooks.stop?.() ?? false;
  const tokensPerStep = config.gradAccum * config.batchSize * config.blockSize;
  let begin = performance.now() - 1000 * run.state.elapsedSeconds;
  const elapsedSeconds = () => round((performance.now() - begin) / 1000);
  let { step, evaluation, bestValLoss } = run.state;
  // best counts an evaluation made only because the run ends; the recorded bestValLoss does not,
  // since the same run with more steps would not have made it
  let best = bestValLoss ?? Infinity;
  const save = (name: string) => {
    run.state = { ...run.state, step, evaluation, bestValLoss, elapsedSeconds: elapsedSeconds() };
    saveCheckpoint(join(out, name), run.model, optimizer, run.state);
    plotLosses(out);
  };
  const saveIfAsked = () => {
    if (!hooks.save?.()) return;
    stepper.tell(); // a bad loss is not to be saved
    save("last");
    hooks.saved?.(step);
  };
  const log = (row: Row) => {
    appendRow(out, row);
    hooks.logged?.(row);
  };
  const result = (stopped: boolean) => ({
    ...run,
    stopped,
    trainLoss: null,
    valLoss: null,
    ...evaluation,
    bestValLoss: finite(best),
  });

  for (let seconds = 0, steps = 0; ; step++) {
    const ends = step >= config.maxIters;
    const isRegular = step % config.evalInterval === 0;
    if ((isRegular || ends) && !evaluation) {
      evaluation = await evaluate(step, stopping);
      if (evaluation) {
        const isBest = evaluation.valLoss < best;
        best = Math.min(best, evaluation.valLoss);
        if (isRegular) bestValLoss = best;
        hooks.evaluation?.({ step, ...evaluation });
        if (isBest) save("best");
        save("last");
      }
    }
    if (ends && evaluation) {
      log({ step, elapsedSeconds: elapsedSeconds(), ...evaluation });
      plotLosses(out);
      return result(false);
    }
    saveIfAsked();
    for (let since = performance.now(); hooks.paused?.() && !stopping(); ) {
      await sleep(50);
      saveIfAsked();
      begin += performance.now() - since; // a pause is no time of training
      since = performance.now();
    }
    if (stopping()) {
      stepper.tell();
      save("last");
      return result(true);
    }
    optimizer.lr = rate(step);
    const isLogged = step % config.logInterval === 0 || evaluation !== null;
    const isLast = step + 1 >= config.maxIters || (step + 1) % config.evalInterval === 0;
    const start = performance.now();
    stepper.take(step);
    steps++;
    const told = isLogged || isLast || stepper.isFull ? stepper.tell() : [];
    seconds += (performance.now() - start) / 1000;
    const tokensPerSecond = Math.round((steps * tokensPerStep) / seconds);
    for (const each of told) {
      const isThis = each.step === step;
      const { loss, gradNorm } = each;
      const row = { step: each.step, loss, lr: rate(each.step), gradNorm, tokensPerSecond };
      const full = { ...row, elapsedSeconds: elapsedSeconds(), ...(isThis && evaluation) };
      hooks.step?.(full);
      if (isThis && isLogged) {
        log(full);
        seconds = steps = 0;
      }
    }
    evaluation = null;
    await nextTask(); // lets signals in, and the collector
  }
}

function scheduleOf(config: TrainConfig): (step: number) => number {
  const { learningRate: lr, minLr, warmupIters, lrDecayIters } = config;
  return cosineSchedule({ lr, minLr, warmupIters, decayIters: lrDecayIters || Infinity });
}

function finite(x: number): number | null {
  return Number.isFinite(x) ? x : null;
}

function round(x: number): number {
  return Math.round(x * 1000) / 1000;
}
