// Server-sent events about the runs that pages have selected: sends what is new to all subscribed
// pages.

import { statSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { metricsFile } from "../runs/metrics.ts";
import type { Events, ReadPosition } from "./protocol.ts";
import { type RunIndex, toVersion } from "./run-index.ts";
import { SnapshotHistory } from "./snapshot-history.ts";
import { Subscriber } from "./subscriber.ts";

const POLL_INTERVAL = 250; // milliseconds
const HEARTBEAT_INTERVAL = 10_000; // milliseconds
/** The share of the time that listing the runs may take: a folder of many is listed less often. */
const LISTING_SHARE = 0.05;

export class EventBroadcaster {
  readonly #runs: RunIndex;
  readonly #onCountChange: (count: number) => void;
  readonly #subscribers = new Set<Subscriber>();
  readonly #snapshots = new SnapshotHistory();
  readonly #timers: NodeJS.Timeout[];
  #status: Events["status"] | null = null;
  #runsVersion: string;
  #nextListing = 0;
  /** The versions of the metrics files of the subscribed runs at the last poll. */
  #versions = new Map<string, string>();

  /** `onCountChange` is called with the number of subscribers when it has changed. */
  constructor(runs: RunIndex, onCountChange: (count: number) => void) {
    this.#runs = runs;
    this.#onCountChange = onCountChange;
    this.#runsVersion = runs.getVersion();
    this.#timers = [
      setInterval(() => this.#poll(), POLL_INTERVAL),
      setInterval(
        () => this.#forEach((subscriber) => subscriber.sendHeartbeat()),
        HEARTBEAT_INTERVAL,
      ),
    ];
  }

  /** Returns the runs that at least one page has selected. */
  getSubscribedRuns(): Set<string> {
    const runs = new Set<string>();
    for (const subscriber of this.#subscribers) for (const run of subscriber.runs) runs.add(run);
    return runs;
  }

  /** Turns a response into an event stream about the runs in `positions`. */
  subscribe(response: ServerResponse, positions: Map<string, ReadPosition>): void {
    // throws for an unknown run, which is only possible before the headers are sent
    for (const run of positions.keys()) this.#runs.getFolder(run);
    response.writeHead(200, {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-store",
    });
    const subscriber = new Subscriber(response, this.#runs, this.#snapshots, positions);
    response.on("close", () => {
      this.#subscribers.delete(subscriber);
      this.#onCountChange(this.#subscribers.size);
    });
    response.on("drain", () => this.#attempt(subscriber, () => subscriber.resume()));
    this.#subscribers.add(subscriber);
    this.#onCountChange(this.#subscribers.size);
    response.write("retry: 1000\n\n");
    if (this.#status) subscriber.notify("status", this.#status);
    else subscriber.sendNews();
  }

  sendStatus(status: Events["status"]): void {
    this.#status = status;
    this.#forEach((subscriber) => subscriber.notify("status", status));
  }

  sendSnapshot(snapshot: Events["snapshot"]): void {
    this.#snapshots.add(snapshot);
    this.#forEach((subscriber) => subscriber.sendNews());
  }

  close(): void {
    for (const timer of this.#timers) clearInterval(timer);
  }

  #poll(): void {
    const start = performance.now();
    if (start >= this.#nextListing) {
      const version = this.#runs.getVersion();
      if (version !== this.#runsVersion)
        this.#forEach((subscriber) => subscriber.notify("runs", {}));
      this.#runsVersion = version;
      const end = performance.now();
      this.#nextListing = end + (end - start) / LISTING_SHARE;
    }
    const changed = this.#findChangedRuns();
    this.#forEach((subscriber) => {
      if (subscriber.runs.some((run) => changed.has(run))) subscriber.sendNews();
    });
  }

  /** Returns the subscribed runs whose metrics have changed since the last call. */
  #findChangedRuns(): Set<string> {
    const versions = new Map<string, string>();
    const changed = new Set<string>();
    for (const run of this.getSubscribedRuns()) {
      const version = this.#getMetricsVersion(run);
      versions.set(run, version);
      if (version !== this.#versions.get(run)) changed.add(run);
    }
    this.#versions = versions;
    return changed;
  }

  #getMetricsVersion(run: string): string {
    try {
      const file = metricsFile(this.#runs.getFolder(run));
      return toVersion(statSync(file));
    } catch (error) {
      return String(error); // the run or the file has been removed
    }
  }

  #forEach(task: (subscriber: Subscriber) => void): void {
    for (const subscriber of this.#subscribers) this.#attempt(subscriber, () => task(subscriber));
  }

  /** Runs a task. An error closes the stream of its subscriber only. */
  #attempt(subscriber: Subscriber, task: () => void): void {
    try {
      task();
    } catch (error) {
      this.#subscribers.delete(subscriber);
      subscriber.close(error as Error);
    }
  }
}
