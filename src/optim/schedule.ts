// Learning-rate schedules: functions from the number of a step to its rate. All begin with a linear
// warmup and end at decayIters; they differ in the decay between the two.

import { checkNumber, checkOptions, fail } from "../errors.ts";

/** Options of linearSchedule(). */
export interface ScheduleOptions {
  /** The rate after the warmup. */
  lr: number;
  /** The rate at the end; default 0. */
  minLr?: number;
  /** The steps during which the rate grows linearly; default 0. */
  warmupIters?: number;
  /** The step at which the rate has reached minLr. */
  decayIters: number;
}

/** Options of cosineSchedule(). */
export interface CosineOptions extends ScheduleOptions {}

/** Options of warmupStableDecaySchedule(). */
export interface WarmupStableDecayOptions extends ScheduleOptions {
  /** The share of the steps that decay, from 0 to 1. */
  decayShare?: number;
}

/**
 * Rises linearly from lr / (warmupIters + 1) at step 0 to lr at step warmupIters, falls along half
 * a cosine to minLr at step decayIters, and stays there: the schedule of GPT-3 and nanoGPT.
 * @example
 * const lr = optim.cosineSchedule({ lr: 1e-3, minLr: 1e-4, warmupIters: 100, decayIters: 1000 });
 * console.log(lr(100)); // 0.001
 */
export function cosineSchedule(options: CosineOptions): (step: number) => number {
  const { lr, minLr, warmupIters, decayIters } = resolve("cosineSchedule", options);
  return (step) => {
    if (step < warmupIters) return (lr * (step + 1)) / (warmupIters + 1);
    if (step >= decayIters) return minLr;
    const progress = (step - warmupIters) / (decayIters - warmupIters);
    return minLr + 0.5 * (1 + Math.cos(Math.PI * progress)) * (lr - minLr);
  };
}

/**
 * Rises like cosineSchedule(), then falls linearly to minLr at step decayIters, and stays there.
 * Bergsma et al. (2025) find that a linear decay to 0 beats a cosine to a tenth.
 * @example
 * const lr = optim.linearSchedule({ lr: 1, decayIters: 100 });
 * console.log(lr(25)); // 0.75
 */
export function linearSchedule(options: ScheduleOptions): (step: number) => number {
  const resolved = resolve("linearSchedule", options);
  return decayLinearly(resolved, resolved.warmupIters);
}

/**
 * Rises like cosineSchedule(), stays at lr, and falls linearly to minLr over the last `decayShare`
 * of the decayIters steps, by default 0.4. Such a run can be continued from before the decay. Hu et
 * al. (2024); Hägele et al. (2024).
 * @example
 * const lr = optim.warmupStableDecaySchedule({ lr: 1, decayIters: 100, decayShare: 0.2 });
 * console.log(lr(80), lr(90)); // 1 0.5
 */
export function warmupStableDecaySchedule(
  options: WarmupStableDecayOptions,
): (step: number) => number {
  const op = "warmupStableDecaySchedule";
  const resolved = resolve(op, options, ["decayShare"]);
  const { decayShare = 0.4 } = options;
  checkNumber(op, "decayShare", decayShare, 0);
  if (decayShare > 1) fail(`${op}: decayShare is ${decayShare}, expected a number from 0 to 1`);
  const { warmupIters, decayIters } = resolved;
  const stableUntil = decayIters === Infinity ? Infinity : decayIters * (1 - decayShare);
  return decayLinearly(resolved, Math.max(warmupIters, stableUntil));
}

/** Rises, is lr until step `start`, then falls linearly to minLr at step decayIters. */
function decayLinearly(
  { lr, minLr, warmupIters, decayIters }: Required<ScheduleOptions>,
  start: number,
): (step: number) => number {
  return (step) => {
    if (step < warmupIters) return (lr * (step + 1)) / (warmupIters + 1);
    if (step >= decayIters) return minLr;
    if (step <= start) return lr;
    const progress = (step - start) / (decayIters - start);
    return minLr + (1 - progress) * (lr - minLr);
  };
}

/** Returns the options with defaults filled in. Throws if one is unknown or not a number. */
function resolve(
  op: string,
  options: ScheduleOptions,
  others: readonly string[] = [],
): Required<ScheduleOptions> {
  checkOptions(op, options, ["lr", "minLr", "warmupIters", "decayIters", ...others]);
  const { lr, minLr = 0, warmupIters = 0, decayIters } = options;
  for (const [key, value] of Object.entries({ lr, minLr, warmupIters, decayIters }))
    checkNumber(op, key, value, 0);
  return { lr, minLr, warmupIters, decayIters };
}
