// The page's connection to the server-sent events of /events. It remembers how far each run has
// been read, so that after a reconnection, or when a run is selected again, only new rows are sent.

import type { Events, ReadPosition } from "../protocol.ts";
import { withToken } from "./api.ts";

/** `rejected`: the server responds, but does not know one of the runs. */
export type ConnectionState = "connecting" | "open" | "lost" | "rejected";

type Listeners = { [K in keyof Events]: ((data: Events[K]) => void)[] };

/** The delay before reconnecting in the cases in which the browser does not do it by itself. */
const RETRY_DELAY_MS = 1000;

export class EventStream {
  readonly #listeners: Listeners = { rows: [], restart: [], snapshot: [], status: [], runs: [] };
  readonly #stateListeners: ((state: ConnectionState) => void)[] = [];
  readonly #replyListeners: (() => void)[] = [];
  /** The read position of each run. */
  readonly #positions = new Map<string, ReadPosition>();
  #runs: readonly string[] = [];
  #source: EventSource | null = null;
  #timer = 0;
  #state: ConnectionState = "connecting";

  on<K extends keyof Events>(name: K, listener: (data: Events[K]) => void): void {
    this.#listeners[name].push(listener);
  }

  /** Calls `listener` now and whenever the state of the connection changes. */
  onStateChange(listener: (state: ConnectionState) => void): void {
    this.#stateListeners.push(listener);
    listener(this.#state);
  }

  /**
   * Calls `listener` whenever the server has opened a connection or has rejected it, and now if it
   * has already. Events that were sent while there was no connection are lost, apart from rows and
   * snapshots.
   */
  onReply(listener: () => void): void {
    this.#replyListeners.push(listener);
    if (this.#state === "open" || this.#state === "rejected") listener();
  }

  /** Forgets the read position of a run: its rows are sent again from the beginning. */
  forget(run: string): void {
    this.#positions.delete(run);
  }

  /** Replaces the subscribed runs. Each one continues from its last read position. */
  subscribe(runs: readonly string[]): void {
    this.#runs = runs;
    this.#connect();
  }

  #connect(): void {
    clearTimeout(this.#timer);
    this.#source?.close();
    const positions = this.#runs.map((run) => {
      const { next, mark } = this.#getPosition(run);
      return `${encodeURIComponent(run)}:${next}:${mark}`;
    });
    const query = new URLSearchParams({ after: positions.join() });
    const source = new EventSource(withToken(`/events?${query}`));
    source.onopen = () => {
      this.#setState("open");
      for (const listener of this.#replyListeners) listener();
    };
    source.onerror = () => {
      // the browser reconnects after a network error, but not after an HTTP error
      const isRejected = source.readyState === EventSource.CLOSED;
      if (isRejected) this.#timer = setTimeout(() => this.#connect(), RETRY_DELAY_MS);
      this.#setState(isRejected ? "rejected" : "lost");
      if (isRejected) for (const listener of this.#replyListeners) listener();
    };
    for (const name of Object.keys(this.#listeners) as (keyof Events)[])
      source.addEventListener(name, ({ data }) => this.#dispatch(name, JSON.parse(data)));
    this.#source = source;
  }

  #getPosition(run: string): ReadPosition {
    return this.#positions.get(run) ?? { next: 0, mark: 0 };
  }

  #dispatch<K extends keyof Events>(name: K, data: Events[K]): void {
    if (name === "restart") this.#positions.delete((data as Events["restart"]).run);
    if (name === "rows") {
      const { run, next, mark } = data as Events["rows"];
      if (next <= this.#getPosition(run).next) return; // a duplicate
      this.#positions.set(run, { next, mark });
    }
    for (const listener of this.#listeners[name]) listener(data);
  }

  #setState(state: ConnectionState): void {
    if (state === this.#state) return;
    this.#state = state;
    for (const listener of this.#stateListeners) listener(state);
  }
}
