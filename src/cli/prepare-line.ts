// The progress of preparing token shards.

import type { PrepareProgress } from "../data/prepare/prepare.ts";
import { formatDuration } from "./progress.ts";

/** One line that is rewritten on a terminal; elsewhere a line now and then. */
export class PrepareLine {
  readonly #stream: NodeJS.WriteStream;
  #phase = "";
  #phaseStart = 0;
  #firstDone = 0;
  #lastUpdate = performance.now();

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  show({ phase, done, total, tokens }: PrepareProgress): void {
    const now = performance.now();
    if (phase !== this.#phase) {
      this.#phase = phase;
      this.#phaseStart = now;
      this.#firstDone = done;
    } else if (now - this.#lastUpdate < (this.#stream.isTTY ? 100 : 10_000)) {
      return;
    }
    this.#lastUpdate = now;
    const seconds = (now - this.#phaseStart) / 1000;
    const bytesPerSecond = (done - this.#firstDone) / seconds;
    const megabytes = `${(done / 1e6).toFixed(0)} of ${(total / 1e6).toFixed(0)} MB`;
    const speed = `${(bytesPerSecond / 1e6).toFixed(1)} MB/s`;
    const left = formatDuration((1000 * (total - done)) / bytesPerSecond);
    const hasSpeed = seconds > 0.5 && bytesPerSecond > 0 && done < total;
    const written = tokens > 0 ? `, ${(tokens / 1e6).toFixed(1)} M tokens` : "";
    const sizes = total > 0 ? `: ${megabytes}` : "";
    const text = `${phase}${sizes}${written}${hasSpeed ? `, ${speed}, ${left} left` : ""}`;
    if (this.#stream.isTTY) this.#stream.write(`\r\x1b[K${text}`);
    else if (seconds > 0) this.#stream.write(`${text}\n`);
  }

  /** Removes the line from the terminal. */
  clear(): void {
    if (this.#stream.isTTY) this.#stream.write("\r\x1b[K");
  }
}
