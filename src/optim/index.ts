// The namespace optim.

export {
  Adam,
  type AdamOptions,
  AdamW,
  RMSprop,
  type RMSpropOptions,
  SGD,
  type SGDOptions,
} from "./algorithms.ts";
export { clipGradients, clipGradNorm } from "./clip.ts";
export { CombinedOptimizer } from "./combined.ts";
export { EMA, type EMAOptions } from "./ema.ts";
export { Muon, type MuonOptions } from "./muon.ts";
export type { AnyOptimizer } from "./optimizer.ts";
export {
  type CosineOptions,
  cosineSchedule,
  linearSchedule,
  type ScheduleOptions,
  type WarmupStableDecayOptions,
  warmupStableDecaySchedule,
} from "./schedule.ts";
export {
  CosineAnnealingLR,
  ExponentialLR,
  LambdaLR,
  LinearLR,
  StepLR,
} from "./schedulers.ts";
