// Diagnoses a run whose loss became NaN or infinite.

import { sampleBatch } from "../data/batches.ts";
import type { Run } from "../runs/run.ts";
import { scope } from "../scope.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** The loss is NaN or infinite. The last checkpoint predates this. */
export class DivergedError extends Error {
  override name = "DivergedError";
}

/**
 * Repeats the forward and backward pass of the step that diverged. Returns an error that names the
 * first tensor that is not finite: a parameter, then a gradient, then the loss.
 */
export function describeDivergence(
  { config, model }: Run,
  tokens: Tensor,
  counters: Tensor[],
  step: number,
  loss: number,
): DivergedError {
  const { batchSize: B, blockSize: T } = config;
  for (const counter of counters) {
    scope(() => {
      const [x, y] = sampleBatch(tokens, counter, "batch", [B, T]);
      const { loss } = model.forward(x, y, { logits: false });
      loss?.backward();
    });
  }
  const isBad = (x: Tensor | null) => x !== null && !x.data().every(Number.isFinite);
  const parameters = [...model.namedParameters()];
  const weight = parameters.find(([, w]) => isBad(w));
  const gradient = parameters.find(([, w]) => isBad(w.grad));
  let first = "the loss";
  if (gradient) first = `the gradient of ${gradient[0]}`;
  if (weight) first = `weight ${weight[0]}`;
  return new DivergedError(
    `step ${step}: the loss is ${loss}; the first tensor that is not finite is ${first}. ` +
      "The last checkpoint predates this. Try a lower learning rate or --grad-clip",
  );
}
