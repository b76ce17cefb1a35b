// Worker threads that encode pieces of the input at the same time.

import { Worker } from "node:worker_threads";
import {
  type EncodedPiece,
  type EncoderInput,
  type EncoderOptions,
  makeEncoder,
  PieceError,
} from "./encode.ts";

export type WorkerReply =
  | { result: EncodedPiece }
  | { problem: { message: string; range: number | null } };

interface Task {
  readonly input: EncoderInput;
  resolve(result: EncodedPiece): void;
  reject(error: Error): void;
}

export interface EncoderPool {
  /** Encodes a piece, whose bytes it takes. Rejects with a PieceError. */
  encode(input: EncoderInput): Promise<EncodedPiece>;
  close(): Promise<void>;
}

/** Returns a pool of worker threads; of 0, one that encodes in this thread. */
export function createPool(workers: number, options: EncoderOptions): EncoderPool {
  if (workers > 0) return new WorkerPool(workers, options);
  const encode = makeEncoder(options);
  return { encode: async (input) => encode(input), close: async () => {} };
}

class WorkerPool implements EncoderPool {
  readonly #idle: Worker[] = [];
  readonly #workers: Worker[] = [];
  readonly #running = new Map<Worker, Task>();
  readonly #waiting: Task[] = [];
  #failure: Error | null = null;

  constructor(count: number, workerData: EncoderOptions) {
    for (let i = 0; i < count; i++) {
      const worker = new Worker(new URL("./worker.js", import.meta.url), {
        workerData,
        execArgv: [],
      });
      worker.on("message", (reply: WorkerReply) => this.#finish(worker, reply));
      worker.on("error", (error) => this.#fail(error));
      this.#workers.push(worker);
      this.#idle.push(worker);
    }
  }

  encode(input: EncoderInput): Promise<EncodedPiece> {
    return new Promise((resolve, reject) => {
      if (this.#failure) reject(this.#failure);
      this.#waiting.push({ input, resolve, reject });
      this.#assign();
    });
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  #assign(): void {
    while (this.#idle.length > 0 && this.#waiting.length > 0) {
      const worker = this.#idle.pop() as Worker;
      const task = this.#waiting.shift() as Task;
      this.#running.set(worker, task);
      worker.postMessage(task.input, [task.input.bytes.buffer]);
    }
  }

  #finish(worker: Worker, reply: WorkerReply): void {
    const task = this.#running.get(worker);
    this.#running.delete(worker);
    this.#idle.push(worker);
    this.#assign();
    if ("result" in reply) task?.resolve(reply.result);
    else task?.reject(new PieceError(reply.problem.message, reply.problem.range));
  }

  /** A worker has ended, for lack of memory for example. */
  #fail(error: Error): void {
    this.#failure = error;
    for (const { reject } of [...this.#running.values(), ...this.#waiting]) reject(error);
    this.#running.clear();
    this.#waiting.length = 0;
  }
}
