// The namespace optim.

export { Adam, type AdamOptions, AdamW, SGD, type SGDOptions } from "./algorithms.ts";
export { clipGradients, clipGradNorm } from "./clip.ts";
export {
  type CosineOptions,
  cosineSchedule,
  linearSchedule,
  type ScheduleOptions,
  type WarmupStableDecayOptions,
  warmupStableDecaySchedule,
} from "./schedule.ts";
