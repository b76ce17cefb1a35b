// Learning-rate schedules.

import { checkNumber, checkOptions } from "../errors.ts";

/** Options of cosineSchedule(). */
export interface CosineOptions {
  lr: number;
  minLr?: number;
  warmupIters?: number;
  decayIters: number;
}

/**
 * Rises linearly from lr / (warmupIters + 1) at step 0 to lr at step warmupIters, falls along half
 * a cosine to minLr at step decayIters, and stays there: the schedule of GPT-3 and nanoGPT.
 * @example
 * const lr = optim.cosineSchedule({ lr: 1e-3, minLr: 1e-4, warmupIters: 100, decayIters: 1000 });
 * console.log(lr(100)); // 0.001
 */
export function cosineSchedule(options: CosineOptions): (step: number) => number {
  checkOptions("cosineSchedule", options, ["lr", "minLr", "warmupIters", "decayIters"]);
  const { lr, minLr = 0, warmupIters = 0, decayIters } = options;
  for (const [key, value] of Object.entries({ lr, minLr, warmupIters, decayIters }))
    checkNumber("cosineSchedule", key, value, 0);
  return (step) => {
    if (step < warmupIters) return (lr * (step + 1)) / (warmupIters + 1);
    if (step >= decayIters) return minLr;
    const progress = (step - warmupIters) / (decayIters - warmupIters);
    return minLr + 0.5 * (1 + Math.cos(Math.PI * progress)) * (lr - minLr);
  };
}
