// The one line that is rewritten while a model trains on a terminal.

import type { Device } from "../device.ts";
import type { LanguageModel } from "../gpt/bigram.ts";
import { GPT } from "../gpt/model.ts";
import { tensor } from "../ops/creation.ts";
import { matmul } from "../ops/matmul.ts";
import { scope } from "../scope.ts";
import type { Row } from "../train/metrics.ts";
import type { Run } from "../train/run.ts";

export interface ProgressLine {
  show(row: Row, run: Run): void;
  clear(): void;
}

/** Step, loss, tokens/s, MFU, and the time left, at most ten times a second. */
export function progressLine(): ProgressLine {
  let shown = 0;
  let first: { time: number; step: number } | null = null;
  let peak = 0;
  return {
    show({ step, loss = 0, tokensPerSecond = 0 }, run) {
      const now = performance.now();
      first ??= { time: now, step };
      peak ||= multiplyRate(run.device);
      if (now - shown < 100) return;
      shown = now;
      const { maxIters } = run.config;
      const perStep = (now - first.time) / Math.max(1, step - first.step);
      const left = step > first.step ? `, ${duration((maxIters - step) * perStep)} left` : "";
      const mfu = (100 * tokensPerSecond * flopsPerToken(run)) / peak;
      const parts = [
        `step ${step}/${maxIters}`,
        `loss ${loss.toFixed(4)}`,
        `${tokensPerSecond} tokens/s`,
      ];
      process.stdout.write(`\r\x1b[K${parts.join(", ")}, MFU ${mfu.toFixed(0)} %${left}`);
    },
    clear() {
      if (shown) process.stdout.write("\r\x1b[K");
    },
  };
}

/** How many numbers a model has learned. */
export function parameterCount(model: LanguageModel): number {
  return [...model.parameters()].reduce((sum, w) => sum + w.size, 0);
}

/**
 * 6 floating-point operations a parameter, and those of attention: as in PaLM, appendix B (2022).
 */
function flopsPerToken({ model }: Run): number {
  const count = parameterCount(model);
  if (!(model instanceof GPT)) return 6 * count;
  const { nLayer, nEmbd, blockSize, positions } = model.config;
  const table = positions === "learned" ? blockSize * nEmbd : 0;
  return 6 * (count - table) + 12 * nLayer * nEmbd * blockSize;
}

/**
 * What MFU is a share of: the device's own operations per second in a product of matrices,
 * measured.
 */
function multiplyRate(device: Device): number {
  const n = 192;
  const a = tensor(new Float32Array(n * n), { shape: [n, n], device });
  const time = () => {
    const start = performance.now();
    scope(() => matmul(a, a).data());
    return performance.now() - start;
  };
  return (2 * n ** 3) / (Math.min(...Array.from({ length: 8 }, time)) / 1000);
}

function duration(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1000);
  if (seconds < 60) return `${seconds} s`;
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return hours ? `${hours} h ${minutes} min` : `${minutes} min ${seconds % 60} s`;
}
