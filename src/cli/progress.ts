// The one line that is rewritten while a model trains on a terminal.

import { countParameters } from "../gpt/language-model.ts";
import type { Row } from "../runs/metrics.ts";
import type { Run } from "../runs/run.ts";
import { flopsPerToken, measureMatmulFlops } from "../train/mfu.ts";

export interface ProgressLine {
  show(row: Row, run: Run): void;
  clear(): void;
}

/** Step, loss, tokens/s, MFU, and the time left, at most ten times a second. */
export function progressLine(): ProgressLine {
  let shown = 0;
  let first: { time: number; step: number } | null = null;
  let peak = 0;
  let flops = 0;
  return {
    show({ step, loss = 0, tokensPerSecond = 0 }, run) {
      const now = performance.now();
      first ??= { time: now, step };
      peak ||= measureMatmulFlops(run.device, run.config.dtype);
      flops ||= flopsPerToken(countParameters(run.model), run.config);
      if (now - shown < 100) return;
      shown = now;
      const { maxIters } = run.config;
      const perStep = (now - first.time) / Math.max(1, step - first.step);
      const left = step > first.step ? `, ${duration((maxIters - step) * perStep)} left` : "";
      const mfu = (100 * tokensPerSecond * flops) / peak;
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

function duration(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1000);
  if (seconds < 60) return `${seconds} s`;
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return hours ? `${hours} h ${minutes} min` : `${minutes} min ${seconds % 60} s`;
}
