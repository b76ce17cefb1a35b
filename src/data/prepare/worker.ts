// A worker thread of prepareShards(): encodes one piece after the other.

import { parentPort, workerData } from "node:worker_threads";
import { type EncoderInput, makeEncoder, PieceError } from "./encode.ts";
import type { WorkerReply } from "./pool.ts";

const encode = makeEncoder(workerData);

parentPort?.on("message", (input: EncoderInput) => {
  try {
    const result = encode(input);
    const reply: WorkerReply = { result };
    parentPort?.postMessage(reply, [result.tokens.buffer]);
  } catch (error) {
    const { message } = error as Error;
    const range = error instanceof PieceError ? error.range : null;
    const reply: WorkerReply = { problem: { message, range } };
    parentPort?.postMessage(reply);
  }
});
