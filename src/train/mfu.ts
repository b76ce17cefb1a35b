// Model FLOPs utilization (MFU): the share of the device's peak throughput that training reaches.

import type { Device } from "../backend/device.ts";
import { deriveOptions } from "../gpt/config.ts";
import { tensor } from "../ops/creation.ts";
import { matmul } from "../ops/matmul.ts";
import { to } from "../ops/movement.ts";
import { scope } from "../scope.ts";
import type { TrainConfig } from "./config.ts";
import { getMatmulPrecision } from "./precision.ts";

/** An addon that can time captured work on the device. */
type TimedAddon = Extract<Device["addon"], { timeReplays: unknown }>;

/**
 * Returns the number of floating-point operations of training per token: 6 per parameter, plus
 * those of attention. PaLM (Chowdhery et al., 2022), appendix B.
 */
export function flopsPerToken(parameters: number, config: TrainConfig): number {
  const { model, nLayer, nEmbd, blockSize, positions } = config;
  if (model !== "gpt") return 6 * parameters;
  const positionParameters = positions === "learned" ? blockSize * nEmbd : 0;
  const width = config.nHead * deriveOptions(config).headDim;
  return 6 * (parameters - positionParameters) + 12 * nLayer * width * blockSize;
}

/**
 * Measures the peak throughput that MFU refers to, in FLOP/s: the fastest of ten n x n matmuls in
 * the run's dtype and precision. n is doubled until a matmul takes long enough to time.
 */
export function measureMatmulFlops(
  device: Device,
  config: Pick<TrainConfig, "dtype" | "matmulPrecision"> = {
    dtype: "f32",
    matmulPrecision: "highest",
  },
): number {
  const precision = getMatmulPrecision(config);
  for (let n = 128; ; n *= 2) {
    const time = () => scope(() => timeMatmul(device, config.dtype, n));
    const milliseconds = device.withMatmulPrecision(precision, time);
    if (milliseconds !== null) return (2 * n ** 3) / (milliseconds / 1000);
  }
}

/** Returns the peak of a run's device, times the number of processes that train the run. */
export function measurePeak(run: {
  device: Device;
  config: Pick<TrainConfig, "dtype" | "matmulPrecision">;
  processes: number;
}): number {
  return run.processes * measureMatmulFlops(run.device, run.config);
}

/** Times an n x n matmul in milliseconds. Returns null if n is too small to time. */
function timeMatmul(device: Device, dtype: TrainConfig["dtype"], n: number): number | null {
  const { addon } = device;
  const timedAddon = addon && "timeReplays" in addon ? addon : null;
  const values = new Float32Array(n * n); // not zeros, which some devices multiply faster
  for (let i = 0; i < values.length; i++) values[i] = (i % 1009) / 1009 - 0.5;
  const x = tensor(values, { shape: [n, n], device });
  const a = dtype === "bf16" ? to(x, "bf16") : x;
  const multiply = () => scope(() => void matmul(a, a));
  const time = () => (timedAddon ? timeOnDevice(timedAddon, multiply) : timeOnHost(multiply));
  time(); // warm-up
  if (n < 4096 && time() < (timedAddon ? 0.1 : 4)) return null;
  return Math.min(...Array.from({ length: 10 }, time));
}

/** Returns the duration of `work` in milliseconds. */
function timeOnHost(work: () => void): number {
  const start = performance.now();
  work();
  return performance.now() - start;
}

/** Returns the duration on the device in milliseconds, without the time to launch the kernels. */
function timeOnDevice(addon: TimedAddon, work: () => void): number {
  work(); // one-time initialization must not be captured
  addon.beginCapture();
  work();
  const graph = addon.endCapture();
  return graph ? addon.timeReplays(graph, 10) / 10 : Number.NaN;
}
