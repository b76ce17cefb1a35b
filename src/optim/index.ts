// The namespace optim.

export { Adam, type AdamOptions, AdamW, SGD, type SGDOptions } from "./algorithms.ts";
export { clipGradients, clipGradNorm } from "./clip.ts";
export { type CosineOptions, cosineSchedule } from "./schedule.ts";
