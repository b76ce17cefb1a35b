// One step of training, from sampling a batch to the optimizer's update.

import type { BatchOptions, BatchSampler } from "../data/sampler.ts";
import { type Share, wholeStep } from "../distributed/share.ts";
import type { LanguageModel } from "../gpt/language-model.ts";
import { add, mul } from "../ops/elementwise.ts";
import { clipGradients, type EMA } from "../optim/index.ts";
import { moveToSite } from "../random.ts";
import type { Run } from "../runs/run.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { TrainConfig } from "./config.ts";

/** The fields of a run that a step uses. */
export type Trained = Pick<Run, "device" | "model" | "optimizer" | "tokens"> & {
  /** The average of the weights that follows them. */
  ema?: EMA | null;
  config: BatchOptions & Pick<TrainConfig, "gradClip" | "seed" | "dtype" | "matmulPrecision">;
};

/** The RNG sites of each part of a step: more than any model uses in a forward pass. */
const SITES_PER_PART = 4096;

/**
 * Trains on gradAccum batches, or on this rank's share of them: forward, backward, all-reduce,
 * clip, update. Each of `batches` has the inputs from which the sampler makes a batch. Once a loss
 * or a gradient norm is NaN or infinite, `foundInf` stays 1 and the optimizer changes nothing.
 */
export function trainStep(
  run: Trained,
  sampler: BatchSampler,
  batches: Tensor[][],
  foundInf: Tensor,
  share: Share = wholeStep(run.config),
) {
  const { model, optimizer, ema, device } = run;
  const { gradClip } = run.config;
  const losses: Tensor[] = [];
  for (const [i, inputs] of batches.entries()) {
    beginPart(share, i);
    const [x, y] = sampler.sample(...inputs); // (B, T), (B, T)
    const loss = model.forward(x, y, { logits: false }).loss as Tensor; // forward
    const scaled = share.parts > 1 ? mul(loss, 1 / share.parts) : loss;
    scaled.backward(); // backward: adds to the gradients of the parameters
    losses.push(scaled.detach());
  }
  const loss = losses.reduce((sum, scaled) => add(sum, scaled));
  if (share.size > 1) allReduce(model, [loss]);
  const gradNorm = clipGradients(model.parameters(), gradClip || Infinity);
  for (const x of gradNorm ? [loss, gradNorm] : [loss])
    device.kernels.checkFinite(x.floats, foundInf.floats);
  foundInf.storage.bumpVersion();
  optimizer.step();
  ema?.update();
  optimizer.zeroGrad();
  return { loss, gradNorm };
}

/** Begins the i-th part of a share: its random numbers do not depend on the parts before it. */
export function beginPart({ firstPart }: Share, i: number): void {
  moveToSite((firstPart + i) * SITES_PER_PART);
}

/** Replaces the gradients of a model, and other tensors, by their sums over all ranks. */
export function allReduce(model: LanguageModel, others: Tensor[] = []): void {
  const gradients = [...model.parameters()].flatMap((w) => w.grad ?? []);
  const tensors = [...gradients, ...others];
  tensors[0].device.kernels.allReduce(tensors.map((x) => x.floats));
  for (const x of tensors) x.storage.bumpVersion();
}
