// Records the metrics of a run while it is trained: metrics.jsonl and its plot, loss.svg. If these
// cannot be written, training goes on.

import { join } from "node:path";
import { appendBytes, replaceFile, syncFile } from "../files/durable.ts";
import { LossPlot } from "./loss-plot.ts";
import { dropRowsFrom, formatRow, type MetricsRow, metricsFile } from "./metrics.ts";
import { OptionalFile, type Warn } from "./optional-file.ts";

/** The minimum time between two drawings of the plot, in milliseconds. */
const PLOT_INTERVAL = 1000;

export class MetricsLog {
  readonly #folder: string;
  readonly #metrics: OptionalFile;
  readonly #plot = new LossPlot();
  readonly #plotFile: OptionalFile;
  /** A newline if the file may end with an incomplete line. */
  #separator = "";
  #isSynced = true;
  #nextPlotTime = 0;

  /** Drops damaged rows and those from `step` on, the first step that will be trained. */
  constructor(folder: string, step: number, warn: Warn) {
    this.#folder = folder;
    this.#metrics = new OptionalFile(warn);
    this.#plotFile = new OptionalFile(warn);
    const isClean = this.#metrics.attempt(() => {
      const damaged = dropRowsFrom(folder, step, (row) => this.#plot.add(row));
      const what = damaged === 1 ? "1 damaged line was" : `${damaged} damaged lines were`;
      if (damaged > 0) warn(`${metricsFile(folder)}: ${what} dropped`);
      appendBytes(metricsFile(folder), new Uint8Array());
    });
    if (!isClean) this.#separator = "\n";
  }

  /** Appends a row. */
  append(row: MetricsRow): void {
    this.#plot.add(row);
    const bytes = new TextEncoder().encode(this.#separator + formatRow(row));
    const isAppended = this.#metrics.attempt(() => {
      // the folder of a run that is being deleted must not become a part of a run again
      appendBytes(metricsFile(this.#folder), bytes, { mustExist: true });
      this.#isSynced = false;
    });
    this.#separator = isAppended ? "" : "\n";
  }

  /** Waits until all rows are on disk: a checkpoint must not survive a crash without them. */
  sync(): void {
    if (this.#isSynced) return;
    this.#metrics.attempt(() => syncFile(metricsFile(this.#folder)));
    this.#isSynced = true;
  }

  /** Draws the plot if the last drawing was some time ago, or if it is the final one. */
  plot({ isFinal = false } = {}): void {
    if (performance.now() < this.#nextPlotTime && !isFinal) return;
    const svg = this.#plot.draw();
    if (svg === null) return;
    this.#plotFile.attempt(() => replaceFile(join(this.#folder, "loss.svg"), svg));
    this.#nextPlotTime = performance.now() + PLOT_INTERVAL;
  }
}
