// Server-sent events about the runs that a page has selected. Each page has a read position in each
// run's metrics.jsonl and receives the rows after it at its own pace, so that a slow or
// disconnected page does not delay the others.

import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { parseRow } from "../runs/metrics.ts";
import type { Events, MetricsRow, ReadPosition } from "./protocol.ts";
import type { RunIndex } from "./run-index.ts";
import { HttpError } from "./validate.ts";

/** The maximum number of bytes of a file that are read and sent at a time. */
const MAX_CHUNK_BYTES = 256 * 1024;
/** The number of bytes that a checksum covers: at least the last row, whose timing is unique. */
const CHECKSUM_BYTES = 256;
const POLL_INTERVAL = 250; // milliseconds
const HEARTBEAT_INTERVAL = 10_000; // milliseconds

/**
 * Parses read positions by run, such as `A:120:7,B`. Throws an HttpError unless each item is the
 * encoded name of a run, followed by nothing, an offset, or an offset and a checksum.
 */
export function parseReadPositions(text: string): Map<string, ReadPosition> {
  const positions = new Map<string, ReadPosition>();
  for (const item of text.split(",").filter(Boolean)) {
    const [, encodedName, next = 0, mark = 0] =
      /^([^:]+)(?::(\d{1,15})(?::(\d{1,10}))?)?$/.exec(item) ?? [];
    const name = encodedName && decodeName(encodedName);
    if (!name || positions.has(name) || Number(mark) >= 2 ** 32)
      throw new HttpError(400, `${item.slice(0, 80)} is not a position, expected RUN:OFFSET:MARK`);
    positions.set(name, { next: Number(next), mark: Number(mark) });
  }
  return positions;
}

/** Returns null for an invalid percent-encoding. */
function decodeName(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

function formatReadPositions(positions: Map<string, ReadPosition>): string {
  return Array.from(
    positions,
    ([run, { next, mark }]) => `${encodeURIComponent(run)}:${next}:${mark}`,
  ).join(",");
}

/** The event stream of one page. */
class Subscriber {
  readonly #response: ServerResponse;
  readonly #runs: RunIndex;
  readonly #positions: Map<string, ReadPosition>;
  #isFull = false;

  constructor(response: ServerResponse, runs: RunIndex, positions: Map<string, ReadPosition>) {
    this.#response = response;
    this.#runs = runs;
    this.#positions = positions;
    response.on("drain", () => {
      this.#isFull = false;
      this.sendNewRows();
    });
  }

  get runs(): string[] {
    return [...this.#positions.keys()];
  }

  send<K extends keyof Events>(name: K, data: Events[K]): void {
    const id = formatReadPositions(this.#positions);
    const text = `event: ${name}\nid: ${id}\ndata: ${JSON.stringify(data)}\n\n`;
    this.#isFull = !this.#response.write(text);
  }

  sendHeartbeat(): void {
    if (!this.#isFull) this.#response.write(": still here\n\n");
  }

  close(error: Error): void {
    this.#response.destroy(error);
  }

  /** Sends the rows after the read positions, until the write buffer is full. */
  sendNewRows(): void {
    for (const run of this.runs) this.#sendNewRowsOf(run);
  }

  #sendNewRowsOf(run: string): void {
    const file = join(this.#runs.getFolder(run), "metrics.jsonl");
    while (!this.#isFull) {
      const position = this.#positions.get(run) as ReadPosition;
      const chunk = readRowsFrom(file, position);
      if (chunk === "replaced") {
        this.#positions.set(run, { next: 0, mark: 0 });
        this.send("restart", { run });
        continue;
      }
      if (chunk.next === position.next) return;
      this.#positions.set(run, { next: chunk.next, mark: chunk.mark });
      this.send("rows", { run, ...chunk });
    }
  }
}

/**
 * Reads the complete lines after a position. Returns "replaced" if the file has been replaced since
 * the position was taken.
 */
function readRowsFrom(
  file: string,
  position: ReadPosition,
): ({ rows: MetricsRow[] } & ReadPosition) | "replaced" {
  const isFile = statSync(file, { throwIfNoEntry: false })?.isFile(); // opening a pipe would block
  if (!isFile) return { rows: [], ...position };
  const fd = openSync(file, "r");
  try {
    const { size } = fstatSync(fd);
    if (size < position.next || computeChecksumBefore(fd, position.next) !== position.mark)
      return "replaced";
    const bytes = Buffer.alloc(Math.min(MAX_CHUNK_BYTES, size - position.next));
    const count = readSync(fd, bytes, 0, bytes.length, position.next);
    const lineEnd = bytes.subarray(0, count).lastIndexOf("\n") + 1;
    // a chunk without a newline is a part of a damaged line, which is passed over
    const end = lineEnd === 0 && count === MAX_CHUNK_BYTES ? count : lineEnd;
    const lines = bytes.toString("utf8", 0, end).split("\n");
    const next = position.next + end;
    const rows = lines.flatMap((line) => parseRow(line) ?? []);
    return { rows, next, mark: computeChecksumBefore(fd, next) };
  } finally {
    closeSync(fd);
  }
}

/** Returns the CRC-32 of the last bytes before an offset. 0 at the beginning of the file. */
function computeChecksumBefore(fd: number, offset: number): number {
  const bytes = Buffer.alloc(Math.min(CHECKSUM_BYTES, offset));
  const count = readSync(fd, bytes, 0, bytes.length, offset - bytes.length);
  return crc32(bytes.subarray(0, count));
}

/** Sends events to all subscribed pages. */
export class EventBroadcaster {
  readonly #runs: RunIndex;
  readonly #onCountChange: (count: number) => void;
  readonly #subscribers = new Set<Subscriber>();
  /** The snapshots so far, for pages that subscribe later. */
  readonly #snapshots: Events["snapshot"][] = [];
  readonly #timers: NodeJS.Timeout[];
  #status: Events["status"] | null = null;
  #runNames: string;

  /** `onCountChange` is called with the number of subscribers when it has changed. */
  constructor(runs: RunIndex, onCountChange: (count: number) => void) {
    this.#runs = runs;
    this.#onCountChange = onCountChange;
    this.#runNames = runs.getNames().join();
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
    return new Set([...this.#subscribers].flatMap((subscriber) => subscriber.runs));
  }

  /** Turns a response into an event stream about the runs in `positions`. */
  subscribe(response: ServerResponse, positions: Map<string, ReadPosition>): void {
    // throws for an unknown run, which is only possible before the headers are sent
    for (const run of positions.keys()) this.#runs.getFolder(run);
    response.writeHead(200, {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-store",
    });
    const subscriber = new Subscriber(response, this.#runs, positions);
    response.on("close", () => {
      this.#subscribers.delete(subscriber);
      this.#onCountChange(this.#subscribers.size);
    });
    this.#subscribers.add(subscriber);
    this.#onCountChange(this.#subscribers.size);
    response.write("retry: 1000\n\n");
    if (this.#status) subscriber.send("status", this.#status);
    for (const snapshot of this.#snapshots)
      if (positions.has(snapshot.run)) subscriber.send("snapshot", snapshot);
    subscriber.sendNewRows();
  }

  sendStatus(status: Events["status"]): void {
    this.#status = status;
    this.#forEach((subscriber) => subscriber.send("status", status));
  }

  sendSnapshot(snapshot: Events["snapshot"]): void {
    this.#snapshots.push(snapshot);
    this.#forEach((subscriber) => subscriber.send("snapshot", snapshot));
  }

  close(): void {
    for (const timer of this.#timers) clearInterval(timer);
  }

  #poll(): void {
    const runNames = this.#runs.getNames().join();
    if (runNames !== this.#runNames) this.#forEach((subscriber) => subscriber.send("runs", {}));
    this.#runNames = runNames;
    this.#forEach((subscriber) => subscriber.sendNewRows());
  }

  /** Calls `notify` for each subscriber. An error closes that subscriber's stream only. */
  #forEach(notify: (subscriber: Subscriber) => void): void {
    for (const subscriber of this.#subscribers) {
      try {
        notify(subscriber);
      } catch (error) {
        this.#subscribers.delete(subscriber);
        subscriber.close(error as Error);
      }
    }
  }
}
