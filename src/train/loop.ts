// The training loop: draw a batch, compute the loss, send it back, step; now and then look at both
// losses and save. A stopped run goes on bit for bit, since every random number hangs on the number
// of its step.

import { join } from "node:path";
import { setImmediate as nextTask } from "node:timers/promises";
import type { LanguageModel } from "../gpt/bigram.ts";
import { tensor, zeros } from "../ops/creation.ts";
import { add, mul } from "../ops/elementwise.ts";
import { clipGradients, cosineSchedule } from "../optim/index.ts";
import { beginStep } from "../random.ts";
import { keep, scope } from "../scope.ts";
import type { Tensor } from "../tensor.ts";
import { drawBatch, placeOf } from "./batches.ts";
import { saveCheckpoint } from "./checkpoint.ts";
import { evaluator, lossOf, putAt, sizesOf } from "./evaluate.ts";
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
  const stepper = new Stepper(run);
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
      stepper.tell(); // a bad loss is not to be saved
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

/** Losses and norms that are on the device until somebody reads them. */
const MOST_UNREAD = 256;

/** Takes steps of training; tells their losses, and the norms of the gradients before clipping. */
class Stepper {
  readonly #run: Run;
  readonly #take: (...places: Tensor[]) => { loss: Tensor; norm: Tensor | null };
  readonly #tokens: Tensor;
  readonly #losses: Tensor;
  readonly #norms: Tensor;
  #steps: number[] = []; // taken, and not told yet

  constructor(run: Run) {
    const { device, optimizer } = run;
    this.#run = run;
    this.#tokens = keep(tensor(run.tokens.train, { device }));
    this.#losses = keep(zeros([MOST_UNREAD], { device }));
    this.#norms = keep(zeros([MOST_UNREAD], { device }));
    const guard = keep(zeros([], { device })); // from the first bad loss on nothing is changed
    optimizer.guard = guard;
    this.#take = device.capture((...places: Tensor[]) =>
      scope(() => {
        const result = this.#gradients(places);
        device.kernels.watch(result.loss.floats, guard.floats);
        guard.storage.touch();
        optimizer.step();
        optimizer.zeroGrad();
        return result;
      }),
    );
  }

  /** The loss of a step, whose gradients are left in the parameters. */
  #gradients(places: Tensor[]): { loss: Tensor; norm: Tensor | null } {
    const { config, model } = this.#run;
    const losses = places.map((place) => {
      const batch = drawBatch(this.#tokens, place, "batch", sizesOf(this.#run));
      const loss = lossOf(model, ...batch);
      const share = config.gradAccum > 1 ? mul(loss, 1 / config.gradAccum) : loss;
      share.backward();
      return share.detach();
    });
    const norm = clipGradients(model.parameters(), config.gradClip || Infinity);
    return { loss: losses.reduce((sum, loss) => add(sum, loss)), norm };
  }

  #placesOf(step: number): Tensor[] {
    const { config, device } = this.#run;
    beginStep(step);
    return Array.from({ length: config.gradAccum }, (_, site) => placeOf({ site, step }, device));
  }

  take(step: number): void {
    scope(() => {
      const { loss, norm } = this.#take(...this.#placesOf(step));
      putAt(this.#losses, this.#steps.length, loss);
      if (norm) putAt(this.#norms, this.#steps.length, norm);
    });
    this.#steps.push(step);
  }

  /** Must they be told before the next step? Where it costs nothing, each is told at once. */
  get isFull(): boolean {
    return this.#run.device.memory.isHost || this.#steps.length === MOST_UNREAD;
  }

  /** Waits for the steps that were taken since the last time. Throws if the loss was no number. */
  tell(): { step: number; loss: number; gradNorm: number }[] {
    const [losses, norms] = [this.#losses.data(), this.#norms.data()];
    const told = this.#steps.map((step, i) => ({ step, loss: losses[i], gradNorm: norms[i] }));
    this.#steps = [];
    for (const { step, loss } of told)
      if (!Number.isFinite(loss)) {
        scope(() => this.#gradients(this.#placesOf(step))); // once more, to see whose are bad
        throw diverged(step, loss, this.#run.model);
      }
    return told;
  }
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
