// Model FLOPs utilization: what share of the device's operations per second the training uses.

import type { Device } from "../device.ts";
import type { LanguageModel } from "../gpt/bigram.ts";
import { tensor } from "../ops/creation.ts";
import { matmul } from "../ops/matmul.ts";
import { scope } from "../scope.ts";
import type { TrainConfig } from "./options.ts";

/** How many numbers a model has learned. */
export function parameterCount(model: LanguageModel): number {
  return [...model.parameters()].reduce((sum, w) => sum + w.size, 0);
}

/**
 * 6 floating-point operations a parameter, and those of attention: as in PaLM, appendix B (2022).
 */
export function flopsPerToken(
  parameters: number,
  { model, nLayer, nEmbd, blockSize, positions }: TrainConfig,
): number {
  if (model !== "gpt") return 6 * parameters;
  const table = positions === "learned" ? blockSize * nEmbd : 0;
  return 6 * (parameters - table) + 12 * nLayer * nEmbd * blockSize;
}

/**
 * What MFU is a share of: the device's own operations per second in a product of matrices,
 * measured: the best of ten, of a size that takes some milliseconds.
 */
export function multiplyRate(device: Device): number {
  for (let n = 128; ; n *= 2) {
    const a = tensor(new Float32Array(n * n), { shape: [n, n], device });
    const time = () => {
      const start = performance.now();
      scope(() => matmul(a, a).data());
      return performance.now() - start;
    };
    time(); // gets the code, and the threads, warm
    if (n < 4096 && time() < 4) continue;
    const best = Math.min(...Array.from({ length: 10 }, time));
    return (2 * n ** 3) / (best / 1000);
  }
}
