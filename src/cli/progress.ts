// The progress line of training, which is rewritten in place on a terminal.

import { countParameters } from "../gpt/language-model.ts";
import type { MetricsRow } from "../runs/metrics.ts";
import type { Run } from "../runs/run.ts";
import { flopsPerToken, measureMatmulFlops } from "../train/mfu.ts";

const INTERVAL = 100; // the minimum milliseconds between updates

/** Shows the step, loss, tokens/s, MFU and remaining time. */
export class ProgressLine {
  #lastUpdate = 0;
  #first: { time: number; step: number } | null = null;
  #peakFlops = 0;
  #flopsPerToken = 0;

  show({ step, loss = 0, tokensPerSecond = 0 }: MetricsRow, run: Run): void {
    const now = performance.now();
    this.#first ??= { time: now, step };
    this.#peakFlops ||= measureMatmulFlops(run.device, run.config.dtype);
    this.#flopsPerToken ||= flopsPerToken(countParameters(run.model), run.config);
    if (now - this.#lastUpdate < INTERVAL) return;
    this.#lastUpdate = now;
    const { maxIters } = run.config;
    const mfu = (100 * tokensPerSecond * this.#flopsPerToken) / this.#peakFlops;
    const parts = [
      `step ${step}/${maxIters}`,
      `loss ${loss.toFixed(4)}`,
      `${tokensPerSecond} tokens/s`,
      `MFU ${mfu.toFixed(0)} %`,
    ];
    const steps = step - this.#first.step;
    if (steps > 0) {
      const millisecondsPerStep = (now - this.#first.time) / steps;
      parts.push(`${formatDuration((maxIters - step) * millisecondsPerStep)} left`);
    }
    process.stdout.write(`\r\x1b[K${parts.join(", ")}`);
  }

  clear(): void {
    if (this.#lastUpdate) process.stdout.write("\r\x1b[K");
  }
}

function formatDuration(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1000);
  if (seconds < 60) return `${seconds} s`;
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  return hours ? `${hours} h ${minutes} min` : `${minutes} min ${seconds % 60} s`;
}
