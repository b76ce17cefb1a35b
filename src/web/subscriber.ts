// The event stream of one page. The page receives the rows of its runs from read positions of its
// own and at its own pace: while it does not read, nothing is kept for it but these positions, so
// that a slow page costs no memory and does not delay the others.

import type { ServerResponse } from "node:http";
import { metricsFile } from "../runs/metrics.ts";
import { formatReadPositions, readRowsFrom, START } from "./metrics-reader.ts";
import type { Events, ReadPosition } from "./protocol.ts";
import type { RunIndex } from "./run-index.ts";
import type { SnapshotHistory } from "./snapshot-history.ts";

/** The events of which a page only needs the latest. */
type Notice = "status" | "runs";

export class Subscriber {
  readonly #response: ServerResponse;
  readonly #runs: RunIndex;
  readonly #snapshots: SnapshotHistory;
  readonly #positions: Map<string, ReadPosition>;
  readonly #notices = new Map<Notice, Events[Notice]>();
  #lastSnapshot = 0;
  #isFull = false;

  constructor(
    response: ServerResponse,
    runs: RunIndex,
    snapshots: SnapshotHistory,
    positions: Map<string, ReadPosition>,
  ) {
    this.#response = response;
    this.#runs = runs;
    this.#snapshots = snapshots;
    this.#positions = positions;
  }

  get runs(): string[] {
    return [...this.#positions.keys()];
  }

  /** Sends an event, now or once the page has read the earlier ones. */
  notify<K extends Notice>(name: K, data: Events[K]): void {
    this.#notices.set(name, data);
    this.sendNews();
  }

  sendHeartbeat(): void {
    if (!this.#isFull) this.#response.write(": still here\n\n");
  }

  /** Continues after the page has read everything that was sent. */
  resume(): void {
    this.#isFull = false;
    this.sendNews();
  }

  close(error: Error): void {
    this.#response.destroy(error);
  }

  /** Sends what the page has not received yet, until the write buffer is full. */
  sendNews(): void {
    for (const [name, data] of this.#notices) {
      if (this.#isFull) return;
      this.#notices.delete(name);
      this.#send(name, JSON.stringify(data));
    }
    for (const run of this.#positions.keys()) this.#sendRows(run);
    while (!this.#isFull) {
      const isSelected = (run: string) => this.#positions.has(run);
      const snapshot = this.#snapshots.findAfter(this.#lastSnapshot, isSelected);
      if (!snapshot) return;
      this.#lastSnapshot = snapshot.id;
      this.#send("snapshot", snapshot.json);
    }
  }

  #sendRows(run: string): void {
    const file = metricsFile(this.#runs.getFolder(run));
    while (!this.#isFull) {
      const position = this.#positions.get(run) ?? START;
      const chunk = readRowsFrom(file, position);
      if (chunk === "replaced") {
        this.#positions.set(run, START);
        this.#send("restart", JSON.stringify({ run } satisfies Events["restart"]));
        continue;
      }
      if (chunk.next === position.next) return;
      this.#positions.set(run, { next: chunk.next, mark: chunk.mark });
      this.#send("rows", JSON.stringify({ run, ...chunk } satisfies Events["rows"]));
    }
  }

  #send(name: keyof Events, json: string): void {
    const id = formatReadPositions(this.#positions);
    this.#isFull = !this.#response.write(`event: ${name}\nid: ${id}\ndata: ${json}\n\n`);
  }
}
