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
  /** The pieces that each worker has not encoded yet, in the order in which it replies. */
  readonly #tasks = new Map<Worker, Task[]>();
  #failure: Error | null = null;

  constructor(count: number, workerData: EncoderOptions) {
    for (let i = 0; i < count; i++) {
      const worker = new Worker(new URL("./worker.js", import.meta.url), {
        workerData,
        execArgv: [],
      });
      worker.on("message", (reply: WorkerReply) => this.#finish(worker, reply));
      worker.on("error", (error) => this.#fail(error));
      this.#tasks.set(worker, []);
    }
  }

  encode(input: EncoderInput): Promise<EncodedPiece> {
    return new Promise((resolve, reject) => {
      if (this.#failure) {
        reject(this.#failure);
        return;
      }
      // the worker with the fewest pieces has the next one before it has to wait
      const [[worker, tasks]] = [...this.#tasks].sort(([, a], [, b]) => a.length - b.length);
      tasks.push({ resolve, reject });
      worker.postMessage(input, [input.bytes.buffer]);
    });
  }

  async close(): Promise<void> {
    await Promise.all([...this.#tasks.keys()].map((worker) => worker.terminate()));
  }

  #finish(worker: Worker, reply: WorkerReply): void {
    const task = this.#tasks.get(worker)?.shift();
    if ("result" in reply) task?.resolve(reply.result);
    else task?.reject(new PieceError(reply.problem.message, reply.problem.range));
  }

  /** A worker has ended, for lack of memory for example. */
  #fail(error: Error): void {
    this.#failure = error;
    for (const tasks of this.#tasks.values()) {
      for (const { reject } of tasks) reject(error);
      tasks.length = 0;
    }
  }
}
