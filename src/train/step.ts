// Steps of training: batches drawn, losses sent back, weights changed; losses are read from the
// device only when somebody wants them. On a GPU a step is captured once and played again.

import { placeOf, sampleBatch } from "../data/batches.ts";
import type { LanguageModel } from "../gpt/language-model.ts";
import { tensor, zeros } from "../ops/creation.ts";
import { add, mul } from "../ops/elementwise.ts";
import { clipGradients } from "../optim/index.ts";
import { beginStep } from "../random.ts";
import type { Run } from "../runs/run.ts";
import { keep, scope } from "../scope.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { lossOf, putAt, sizesOf } from "./evaluate.ts";

/** The loss is no number any more. The last checkpoint is from before. */
export class DivergedError extends Error {
  override name = "DivergedError";
}

/** Losses and norms that are on the device until somebody reads them. */
const MOST_UNREAD = 256;

/** Takes steps of training; tells their losses, and the norms of the gradients before clipping. */
export class Stepper {
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
    const foundInf = keep(zeros([], { device })); // from the first bad loss on nothing is changed
    optimizer.foundInf = foundInf;
    this.#take = device.capture((...places: Tensor[]) =>
      scope(() => {
        const result = this.#gradients(places);
        device.kernels.checkFinite(result.loss.floats, foundInf.floats);
        foundInf.storage.bumpVersion();
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
      const batch = sampleBatch(this.#tokens, place, "batch", sizesOf(this.#run));
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
