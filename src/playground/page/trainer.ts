// The page's side of the worker that trains: calls its functions and listens to its events.

import type { Calls, Events, RunInfo } from "../protocol.ts";

type Listeners = { [K in keyof Events]: (data: Events[K]) => void };

interface PendingCall {
  resolve(result: never): void;
  reject(error: Error): void;
}

let prepared: Worker | null = null;

/** Starts the worker of the next Trainer, which loads while the page is built. */
export function prepareTrainer(): void {
  prepared = createWorker();
}

function createWorker(): Worker {
  const address = new URL("train-worker.js", import.meta.url);
  return new Worker(address, { type: "module", name: "tinybard" });
}

export class Trainer {
  readonly #worker: Worker;
  readonly #pending = new Map<number, PendingCall>();
  #lastId = 0;

  /** Starts a worker. `listeners` receive its events. */
  constructor(listeners: Listeners) {
    this.#worker = prepared ?? createWorker();
    prepared = null;
    this.#worker.onmessage = ({ data }) => {
      if (data.event) {
        listeners[data.event as keyof Events](data.data as never);
        return;
      }
      const call = this.#pending.get(data.id);
      this.#pending.delete(data.id);
      if (data.error === undefined) call?.resolve(data.result as never);
      else call?.reject(new Error(data.error));
    };
    this.#worker.onerror = ({ message }) => {
      const error = new Error(message || "The code that trains could not be loaded.");
      for (const { reject } of this.#pending.values()) reject(error);
      this.#pending.clear();
      listeners.failure(error);
    };
  }

  /** Calls a function of the worker. Rejects with its error. */
  call<K extends keyof Calls>(
    name: K,
    request: Parameters<Calls[K]>[0],
    transfer: Transferable[] = [],
  ): Promise<ReturnType<Calls[K]>> {
    const id = ++this.#lastId;
    this.#worker.postMessage({ id, name, request }, transfer);
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
    });
  }

  /** Ends the worker at once. Calls that are waiting stay unanswered. */
  end(): void {
    this.#worker.terminate();
    this.#pending.clear();
  }
}

/** A run, and the worker that trains it. */
export interface CurrentRun {
  trainer: Trainer;
  info: RunInfo;
}
