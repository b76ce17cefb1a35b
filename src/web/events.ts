// Server-sent events: what happens in the runs that a page looks at. Each page has a place in each
// run's metrics.jsonl and is sent what stands behind it, as fast as it reads; who is slow or gone
// keeps nobody waiting.

import { closeSync, existsSync, fstatSync, openSync, readSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import type { Events, ReadPosition, Row } from "./protocol.ts";
import type { Runs } from "./run-index.ts";

/** At most so many bytes of a file are read and sent at a time. */
const PIECE = 256 * 1024;
/** So many bytes before a place are checked: the last row, in which the time is never the same. */
const MARKED = 256;
const LOOK_AGAIN = 250; // milliseconds
const HEARTBEAT = 10_000;

/** `A:120:7,B`: the places that a page has read to, by run. */
export function placesIn(text: string): Map<string, ReadPosition> {
  const places = new Map<string, ReadPosition>();
  for (const each of text.split(",").filter(Boolean)) {
    const [name, next, mark] = each.split(":").map(decodeURIComponent);
    places.set(name, { next: numberIn(next), mark: numberIn(mark) });
  }
  return places;
}

function numberIn(text = ""): number {
  return /^\d{1,15}$/.test(text) ? Number(text) : 0;
}

/** One page that listens. */
class Listener {
  readonly #response: ServerResponse;
  readonly #runs: Runs;
  readonly #places: Map<string, ReadPosition>;
  #isFull = false;

  constructor(response: ServerResponse, runs: Runs, places: Map<string, ReadPosition>) {
    this.#response = response;
    this.#runs = runs;
    this.#places = places;
    response.on("drain", () => {
      this.#isFull = false;
      this.catchUp();
    });
  }

  get runs(): string[] {
    return [...this.#places.keys()];
  }

  send<K extends keyof Events>(name: K, data: Events[K]): void {
    const id = Array.from(
      this.#places,
      ([run, { next, mark }]) => `${encodeURIComponent(run)}:${next}:${mark}`,
    ).join(",");
    const text = `event: ${name}\nid: ${id}\ndata: ${JSON.stringify(data)}\n\n`;
    this.#isFull = !this.#response.write(text);
  }

  beat(): void {
    if (!this.#isFull) this.#response.write(": still here\n\n");
  }

  end(error: Error): void {
    this.#response.destroy(error);
  }

  /** Sends all that was written since the last time, until the page's buffer is full. */
  catchUp(): void {
    for (const [run, place] of this.#places) {
      for (let at = place; !this.#isFull; ) {
        const piece = pieceOf(join(this.#runs.folderOf(run), "metrics.jsonl"), at);
        if (piece === "another") {
          at = { next: 0, mark: 0 };
          this.#places.set(run, at);
          this.send("restart", { run });
          continue;
        }
        if (piece.next === at.next) break;
        at = { next: piece.next, mark: piece.mark };
        this.#places.set(run, at);
        this.send("rows", { run, ...piece });
      }
    }
  }
}

/** The whole lines of a file behind a place, and where the next begins. */
function pieceOf(file: string, at: ReadPosition): ({ rows: Row[] } & ReadPosition) | "another" {
  if (!existsSync(file)) return { rows: [], ...at };
  const fd = openSync(file, "r");
  try {
    const { size } = fstatSync(fd);
    if (size < at.next || markAt(fd, at.next) !== at.mark) return "another";
    const bytes = Buffer.alloc(Math.min(PIECE, size - at.next));
    const count = readSync(fd, bytes, 0, bytes.length, at.next);
    const end = bytes.subarray(0, count).lastIndexOf("\n") + 1;
    const lines = bytes.toString("utf8", 0, end).split("\n").filter(Boolean);
    const next = at.next + end;
    return { rows: lines.flatMap(rowOf), next, mark: markAt(fd, next) };
  } finally {
    closeSync(fd);
  }
}

/** The mark of a place in a file; 0 at its beginning. */
function markAt(fd: number, next: number): number {
  const bytes = Buffer.alloc(Math.min(MARKED, next));
  return crc32(bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, next - bytes.length)));
}

/** A line as a row; none if it is damaged, or if the place was not the beginning of a line. */
function rowOf(line: string): Row[] {
  try {
    const row = JSON.parse(line);
    return Number.isFinite(row?.step) ? [row] : [];
  } catch {
    return [];
  }
}

/** All pages that listen, and what one that comes later is told first. */
export class Broadcast {
  readonly #runs: Runs;
  readonly #counted: (pages: number) => void;
  readonly #listeners = new Set<Listener>();
  readonly #glimpses: Events["snapshot"][] = [];
  readonly #timers: NodeJS.Timeout[];
  #status: Events["status"] | null = null;
  #names: string;

  /** `counted` is told how many pages listen, when that has changed. */
  constructor(runs: Runs, counted: (pages: number) => void) {
    this.#runs = runs;
    this.#counted = counted;
    this.#names = runs.names().join();
    this.#timers = [
      setInterval(() => this.#lookAgain(), LOOK_AGAIN),
      setInterval(() => this.#each((listener) => listener.beat()), HEARTBEAT),
    ];
  }

  /** The runs that some page looks at. */
  watched(): Set<string> {
    return new Set([...this.#listeners].flatMap((listener) => listener.runs));
  }

  /** From now on `response` is a page's stream of events. */
  add(response: ServerResponse, places: Map<string, ReadPosition>): void {
    for (const run of places.keys()) this.#runs.folderOf(run); // throws while it can be told
    response.writeHead(200, {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-store",
    });
    const listener = new Listener(response, this.#runs, places);
    response.on("close", () => {
      this.#listeners.delete(listener);
      this.#counted(this.#listeners.size);
    });
    this.#listeners.add(listener);
    this.#counted(this.#listeners.size);
    response.write("retry: 1000\n\n");
    if (this.#status) listener.send("status", this.#status);
    for (const glimpse of this.#glimpses)
      if (places.has(glimpse.run)) listener.send("snapshot", glimpse);
    listener.catchUp();
  }

  status(status: Events["status"]): void {
    this.#status = status;
    this.#each((listener) => listener.send("status", status));
  }

  glimpse(glimpse: Events["snapshot"]): void {
    this.#glimpses.push(glimpse);
    this.#each((listener) => listener.send("snapshot", glimpse));
  }

  close(): void {
    for (const timer of this.#timers) clearInterval(timer);
  }

  #lookAgain(): void {
    const names = this.#runs.names().join();
    if (names !== this.#names) this.#each((listener) => listener.send("runs", {}));
    this.#names = names;
    this.#each((listener) => listener.catchUp());
  }

  /** What goes wrong with one page, or the run that it looks at, is no matter of the others. */
  #each(tell: (listener: Listener) => void): void {
    for (const listener of this.#listeners) {
      try {
        tell(listener);
      } catch (error) {
        this.#listeners.delete(listener);
        listener.end(error as Error);
      }
    }
  }
}
