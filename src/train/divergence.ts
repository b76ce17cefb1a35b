// Detects and diagnoses a run that has diverged: a loss, a gradient or a weight is NaN or infinite.

import type { BatchSampler } from "../data/sampler.ts";
import type { Share } from "../distributed/share.ts";
import { markShared } from "../distributed/shared-errors.ts";
import type { LanguageModel } from "../gpt/language-model.ts";
import { scope } from "../scope.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Losses } from "./evaluate.ts";
import { allReduce, beginPart } from "./step.ts";

/** A loss, a gradient or a weight is NaN or infinite. The last checkpoint predates this. */
export class DivergedError extends Error {
  /** The name of the class. */
  override name = "DivergedError";

  constructor(message?: string, options?: ErrorOptions) {
    super(message, options);
    markShared(this); // all ranks have the same losses, gradients and weights
  }
}

/**
 * Repeats the forward and backward pass of the step that diverged. Returns an error that names the
 * first tensor that is not finite: a parameter, then a gradient, then the loss or the norm. All
 * ranks call it, and return the same.
 */
export function describeDivergence(
  model: LanguageModel,
  sampler: BatchSampler,
  batches: Tensor[][],
  { step, loss, gradNorm }: { step: number; loss: number; gradNorm: number },
  share: Share,
): DivergedError {
  for (const [i, inputs] of batches.entries()) {
    beginPart(share, i);
    scope(() => {
      const [x, y] = sampler.sample(...inputs);
      const { loss } = model.forward(x, y, { logits: false });
      loss?.backward();
    });
  }
  if (share.size > 1) allReduce(model);
  const hasFiniteLoss = Number.isFinite(loss);
  const what = hasFiniteLoss ? `the gradient norm is ${gradNorm}` : `the loss is ${loss}`;
  const gradient = [...model.namedParameters()].find(([, w]) => w.grad && !hasFiniteValues(w.grad));
  let first = hasFiniteLoss ? "the norm" : "the loss";
  if (gradient) first = `the gradient of ${gradient[0]}`;
  const weight = findWeight(model);
  if (weight) first = `weight ${weight}`;
  return new DivergedError(`step ${step}: ${what}; ${FIRST} ${first}. ${ADVICE}`);
}

/** Throws a DivergedError if a loss of an evaluation is NaN or infinite. */
export function checkEvaluation(model: LanguageModel, step: number, losses: Losses): void {
  const bad = [losses.trainLoss, losses.valLoss].find((loss) => !Number.isFinite(loss));
  if (bad === undefined) return;
  const weight = findWeight(model);
  const first = weight ? `weight ${weight}` : "the loss";
  throw makeError(step, `the loss is ${bad}; ${FIRST} ${first}`);
}

/**
 * Throws a DivergedError if a weight that is trained is NaN or infinite. The loss need not show
 * that, for example if it is the embedding of a token that no batch had.
 */
export function checkWeights(model: LanguageModel, step: number): void {
  const weight = findWeight(model, { isTrained: true });
  if (weight) throw makeError(step, `weight ${weight} is not finite`);
}

const FIRST = "the first tensor that is not finite is";
const ADVICE = "The last checkpoint predates this. Try a lower learning rate or --grad-clip";

/** Returns the error of a model before a step. Step 0 has no checkpoint before it. */
function makeError(step: number, what: string): DivergedError {
  const advice = step > 0 ? ADVICE : "The weights at the start of the run are wrong";
  return new DivergedError(`step ${step}: ${what}. ${advice}`);
}

/** Returns the name of the first weight with a NaN or an infinity. */
function findWeight(model: LanguageModel, { isTrained = false } = {}): string | undefined {
  for (const [name, w] of model.namedParameters())
    if ((w.requiresGrad || !isTrained) && !hasFiniteValues(w)) return name;
}

/** Returns true if no element is NaN or infinite. Multiplying by 0 returns NaN for those only. */
function hasFiniteValues(x: Tensor): boolean {
  const values = x.data();
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += 0 * values[i];
  return sum === 0;
}
