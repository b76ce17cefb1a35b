// The training loop: draw a batch, compute the loss, send it back, step; now and then look at both
// losses and save. A stopped run goes on bit for bit, since every random number hangs on the number
// of its step.

import { join } from "node:path";
import { setImmediate as nextTask } from "node:timers/promises";
import type { LanguageModel } from "../gpt/bigram.ts";
import { add, mul } from "../ops/elementwise.ts";
import { clipGradients, cosineSchedule } from "../optim/index.ts";
import { beginStep, type Place } from "../random.ts";
import { scope } from "../scope.ts";
import type { Tensor } from "../tensor.ts";
import { saveCheckpoint } from "./checkpoint.ts";
import { batchOf, evaluator, lossOf } from "./evaluate.ts";
import { appendRow, drawLosses, type Row } from "./metrics.ts";
import type { TrainConfig } from "./options.ts";
import { type Run, resumeRun, startRun } from "./run.ts";
import { UsageError } from "./table.ts";

/** What a caller may watch, and how it may end a run early. */
export interface TrainHooks {
  start?(run: Run): void;
  evaluation?(losses: { step: number; trainLoss: number; valLoss: number }): void;
  /** After each step. */
  step?(row: Row): void;
  /** With each line of metrics.jsonl. */
  logged?(row: Row): void;
  /** Asked between steps: true saves and ends the run. */
  stop?(): boolean;
}

export interface TrainResult extends Run {
  /** hooks.stop() ended the run before maxIters; it can be resumed. */
  stopped: boolean;
  trainLoss: number | null;
  valLoss: number | null;
  bestValLoss: number | null;
}

/** The loss is no number any more. The last checkpoint is from before. */
export class DivergedError extends Error {
  override name = "DivergedError";
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
  hooks.start?.(run);
  const { config, optimizer, out } = run;
  const takeStep = stepper(run);
  const evaluate = evaluator(run);
  const rate = scheduleOf(config);
  const stopping = () => hooks.stop?.() ?? false;
  const tokensPerStep = config.gradAccum * config.batchSize * config.blockSize;
  const begin = performance.now() - 1000 * run.state.elapsedSeconds;
  const elapsedSeconds = () => round((performance.now() - begin) / 1000);
  let { step, evaluation, bestValLoss } = run.state;
  // best counts an evaluation made only because the run ends; the recorded bestValLoss does not,
  // since the same run with more steps would not have made it
  let best = bestValLoss ?? Infinity;
  const save = (name: string) => {
    run.state = { ...run.state, step, evaluation, bestValLoss, elapsedSeconds: elapsedSeconds() };
    saveCheckpoint(join(out, name), run.model, optimizer, run.state);
    drawLosses(out);
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
      drawLosses(out);
      return result(false);
    }
    if (stopping()) {
      save("last");
      return result(true);
    }
    optimizer.lr = rate(step);
    const start = performance.now();
    const { loss, gradNorm } = takeStep(step);
    seconds += (performance.now() - start) / 1000;
    const tokensPerSecond = Math.round((++steps * tokensPerStep) / seconds);
    const row = { step, loss, lr: optimizer.lr, gradNorm, tokensPerSecond };
    const isLogged = step % config.logInterval === 0 || evaluation !== null;
    const full = { ...row, elapsedSeconds: elapsedSeconds(), ...evaluation };
    hooks.step?.(full);
    if (isLogged) {
      log(full);
      seconds = steps = 0;
    }
    evaluation = null;
    await nextTask(); // lets signals in, and the collector
  }
}

/** One step of training: the loss before it, and the norm of the gradient before clipping. */
function stepper(run: Run): (step: number) => { loss: number; gradNorm: number } {
  const { config, device, model, optimizer, tokens } = run;
  const { gradAccum, gradClip } = config;
  const gradients = device.capture((...batches: Tensor[]) =>
    scope(() => {
      const losses: Tensor[] = [];
      for (let i = 0; i < batches.length; i += 2) {
        const loss = mul(lossOf(model, batches[i], batches[i + 1]), 1 / gradAccum);
        loss.backward();
        losses.push(loss.detach());
      }
      const norm = clipGradients(model.parameters(), gradClip || Infinity);
      return { loss: losses.reduce((sum, loss) => add(sum, loss)), norm };
    }),
  );
  const update = device.capture(() => {
    optimizer.step();
    optimizer.zeroGrad();
  });
  return (step) => {
    beginStep(step);
    return scope(() => {
      const place = (site: number): Place => ({ site, step, stream: "batch" });
      const draw = (_: unknown, site: number) => batchOf(run, tokens.train, place(site));
      const { loss, norm } = gradients(...Array.from({ length: gradAccum }, draw).flat());
      const value = loss.item();
      if (!Number.isFinite(value)) throw diverged(step, value, model);
      update();
      return { loss: value, gradNorm: norm?.item() ?? 0 };
    });
  };
}

function scheduleOf(config: TrainConfig): (step: number) => number {
  const { learningRate: lr, minLr, warmupIters, lrDecayIters } = config;
  return cosineSchedule({ lr, minLr, warmupIters, decayIters: lrDecayIters || Infinity });
}

/** Says which tensor went bad first: a parameter, its gradient, or only what lies between. */
function diverged(step: number, loss: number, model: LanguageModel): DivergedError {
  const isBad = (x: Tensor | null) => x !== null && !x.data().every(Number.isFinite);
  const named = [...model.namedParameters()];
  const weight = named.find(([, w]) => isBad(w));
  const gradient = named.find(([, w]) => isBad(w.grad));
  const behind = gradient ? `the gradient of ${gradient[0]}` : "the loss";
  const first = weight ? `weight ${weight[0]}` : behind;
  return new DivergedError(
    `step ${step}: the loss is ${loss}; the first tensor that is not finite is ${first}. ` +
      "The last checkpoint is from before. A lower learning rate or clipping may help a new run",
  );
}

function finite(x: number): number | null {
  return Number.isFinite(x) ? x : null;
}

function round(x: number): number {
  return Math.round(x * 1000) / 1000;
}
