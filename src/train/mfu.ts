// Model FLOPs utilization: what share of the device's operations per second the training uses.

import type { Device } from "../backend/device.ts";
import { tensor } from "../ops/creation.ts";
import { matmul } from "../ops/matmul.ts";
import { scope } from "../scope.ts";
import type { TrainConfig } from "./config.ts";

/** The addon of a device that has a clock of its own. */
type Clocked = Extract<Device["addon"], { timeReplays: unknown }>;

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
 * What MFU is a share of: the device's own operations per second in a product of matrices of the
 * run's dtype, measured: the best of ten, of a size that takes some milliseconds.
 */
export function measureMatmulFlops(device: Device, dtype: TrainConfig["dtype"] = "f32"): number {
  const { addon } = device;
  const clocked = addon && "timeReplays" in addon ? addon : null; // the device has its own clock
  for (let n = 128; ; n *= 2) {
    const values = new Float32Array(n * n); // not zeros, which some multiply faster
    for (let i = 0; i < values.length; i++) values[i] = (i % 1009) / 1009 - 0.5;
    const best = scope(() => {
      const whole = tensor(values, { shape: [n, n], device });
      const a = dtype === "bf16" ? whole.to("bf16") : whole;
      const product = () => scope(() => void matmul(a, a));
      const time = clocked ? () => timeOnDevice(clocked, product) : () => timeOnHost(product);
      time(); // gets the code, and the threads, warm
      if (n < 4096 && time() < (clocked ? 0.1 : 4)) return null;
      return Math.min(...Array.from({ length: 10 }, time));
    });
    if (best !== null) return (2 * n ** 3) / (best / 1000);
  }
}

/** Milliseconds. */
function timeOnHost(work: () => void): number {
  const start = performance.now();
  work();
  return performance.now() - start;
}

/** Milliseconds of the device's own: the kernels that `work` calls, without what calls them. */
function timeOnDevice(addon: Clocked, work: () => void): number {
  work(); // what is made once is made now
  addon.beginCapture();
  work();
  const recording = addon.endCapture();
  return recording ? addon.timeReplays(recording, 10) / 10 : Number.NaN;
}
