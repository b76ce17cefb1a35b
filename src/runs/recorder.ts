// Writes the files of a run while it is trained: metrics, their plot, and checkpoints. Of several
// processes, rank 0 writes.

import { join } from "node:path";
import { saveCheckpoint } from "./checkpoint.ts";
import type { CheckpointName } from "./choose.ts";
import { writeConfig } from "./config-file.ts";
import type { MetricsRow } from "./metrics.ts";
import { MetricsLog } from "./metrics-log.ts";
import type { Warn } from "./optional-file.ts";
import type { Run } from "./run.ts";

export class RunRecorder {
  readonly #run: Run;
  /** Null on ranks that write nothing. */
  readonly #metrics: MetricsLog | null;

  constructor(run: Run, warn: Warn, isWriter = true) {
    this.#run = run;
    this.#metrics = isWriter ? new MetricsLog(run.out, run.state.step, warn) : null;
  }

  /** Appends a line to metrics.jsonl. */
  log(row: MetricsRow): void {
    if (!this.#metrics) return;
    this.#run.folder.check();
    this.#metrics.append(row);
  }

  /** Saves the state of the run in its folders `best` or `last`, or in both. */
  save(names: readonly CheckpointName[]): void {
    if (!this.#metrics) return;
    const { out, folder, model, optimizer, state, ema } = this.#run;
    folder.check();
    this.#metrics.sync();
    for (const name of names) saveCheckpoint(join(out, name), model, optimizer, state, ema);
    this.#metrics.plot();
  }

  /** Records the end of the run: the final plot, and with a time budget its estimates. */
  finish(): void {
    if (!this.#metrics) return;
    const { out, config, state } = this.#run;
    if (config.maxSeconds !== undefined)
      writeConfig(out, { ...config, estimates: state.estimates });
    this.#metrics.sync();
    this.#metrics.plot({ isFinal: true });
  }

  /** Draws the plot of a run that has been stopped. */
  stop(): void {
    this.#metrics?.plot({ isFinal: true });
  }
}
