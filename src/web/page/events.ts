// The one stream of events that the page hears. Each run that is looked at has a place in its file,
// so that whoever comes back, or looks at other runs, goes on from there.

import type { Events, ReadPosition } from "../protocol.ts";

/** `refused`: the server is there, and does not know one of the runs. */
export type Connection = "opening" | "open" | "lost" | "refused";

type Listeners = { [K in keyof Events]: ((data: Events[K]) => void)[] };

const TRY_AGAIN = 1000; // milliseconds, where the browser has given up

export class EventStream {
  readonly #listeners: Listeners = { rows: [], restart: [], snapshot: [], status: [], runs: [] };
  readonly #watchers: ((connection: Connection) => void)[] = [];
  /** By run, how far its file has been heard; kept while nobody looks at it. */
  readonly #places = new Map<string, ReadPosition>();
  #runs: readonly string[] = [];
  #source: EventSource | null = null;
  #timer = 0;
  #connection: Connection = "opening";

  on<K extends keyof Events>(name: K, listener: (data: Events[K]) => void): void {
    this.#listeners[name].push(listener);
  }

  /** `watcher` is told now, and whenever it changes, whether the server can be reached. */
  watch(watcher: (connection: Connection) => void): void {
    this.#watchers.push(watcher);
    watcher(this.#connection);
  }

  /** From now on these runs are heard, each from where it was left. */
  look(runs: readonly string[]): void {
    this.#runs = runs;
    this.#open();
  }

  #open(): void {
    clearTimeout(this.#timer);
    this.#source?.close();
    const places = this.#runs.map((run) => {
      const { next, mark } = this.#placeOf(run);
      return `${encodeURIComponent(run)}:${next}:${mark}`;
    });
    const source = new EventSource(`/events?${new URLSearchParams({ after: places.join() })}`);
    source.onopen = () => this.#tell("open");
    source.onerror = () => {
      const isRefused = source.readyState === EventSource.CLOSED;
      if (isRefused) this.#timer = setTimeout(() => this.#open(), TRY_AGAIN);
      this.#tell(isRefused ? "refused" : "lost");
    };
    for (const name of Object.keys(this.#listeners) as (keyof Events)[])
      source.addEventListener(name, ({ data }) => this.#hear(name, JSON.parse(data)));
    this.#source = source;
  }

  #placeOf(run: string): ReadPosition {
    return this.#places.get(run) ?? { next: 0, mark: 0 };
  }

  #hear<K extends keyof Events>(name: K, data: Events[K]): void {
    if (name === "restart") this.#places.delete((data as Events["restart"]).run);
    if (name === "rows") {
      const { run, next, mark } = data as Events["rows"];
      if (next <= this.#placeOf(run).next) return; // heard before
      this.#places.set(run, { next, mark });
    }
    for (const listener of this.#listeners[name]) listener(data);
  }

  #tell(connection: Connection): void {
    if (connection === this.#connection) return;
    this.#connection = connection;
    for (const watcher of this.#watchers) watcher(connection);
  }
}
