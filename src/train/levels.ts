// How options of one level, such as the flags, override those of the level below, such as a preset,
// and what the length of a run and its schedule then are.

import { defined, UsageError } from "../errors.ts";
import { StepPlan } from "./step-plan.ts";

/** The options that say how long a run and the parts of its schedule are. */
export interface LengthOptions {
  /** Infinity for a run that only maxSeconds ends. */
  maxIters: number;
  maxSeconds?: number;
  estimates?: string;
  schedule?: "cosine" | "linear" | "wsd";
  decayShare?: number;
  warmupIters: number;
  warmupShare?: number;
  lrDecayIters: number;
}

/** Options of which a level that has one replaces the other of the levels below. */
const alternatives = [
  ["maxIters", "maxSeconds"],
  ["warmupIters", "warmupShare"],
] as const;

/** Returns the options of two levels as one: `upper` overrides `lower`. */
export function override<T extends Partial<LengthOptions>>(lower: T, upper: Partial<T>): T {
  const merged = { ...lower, ...defined(upper) };
  for (const [a, b] of alternatives) {
    if (upper[a] !== undefined && upper[b] === undefined) delete merged[b];
    if (upper[b] !== undefined && upper[a] === undefined) delete merged[a];
  }
  const { estimates } = merged;
  const isOther = upper.maxIters !== undefined && upper.estimates === undefined;
  // the record of a run with a time budget fits its own number of steps only
  if (isOther && estimates !== undefined && new StepPlan(estimates).total !== upper.maxIters)
    delete merged.estimates;
  return merged;
}

/**
 * Derives what depends on the length of the run, in place. `values` are the options that the user
 * chose. Throws a UsageError, which begins with `source`, if options contradict each other.
 */
export function resolveLength(
  source: string,
  config: LengthOptions,
  values: Partial<LengthOptions>,
): void {
  const problem = (message: string) => new UsageError(`${source}: ${message}`);
  if (config.warmupShare !== undefined && config.warmupIters > 0)
    throw problem("warmupShare and warmupIters exclude each other; use one of them");
  if (config.decayShare !== undefined && config.schedule !== "wsd")
    throw problem("decayShare is an option of schedule wsd only");
  new StepPlan(config.estimates, source); // throws if it is damaged
  if (config.maxSeconds !== undefined) {
    if (values.lrDecayIters)
      throw problem("lrDecayIters and maxSeconds exclude each other; the decay ends with the time");
    if (config.lrDecayIters > 0) config.schedule ??= "cosine";
    config.lrDecayIters = 0;
    config.maxIters ??= Infinity;
    delete config.estimates;
    return;
  }
  if (config.estimates !== undefined) return;
  if (config.schedule !== undefined) config.lrDecayIters ||= config.maxIters;
  if (config.warmupShare === undefined) return;
  config.warmupIters = Math.round(config.warmupShare * (config.lrDecayIters || config.maxIters));
  delete config.warmupShare;
}
