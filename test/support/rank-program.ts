// The program of a rank, which test/distributed/ starts by mpirun: runs the task that its argument
// names, and prints one line of JSON.

import { setTimeout } from "node:timers/promises";
import { isMainThread, parentPort, Worker } from "node:worker_threads";
import type { Tensor } from "tinybard";
import { device } from "#src/backend/devices.js";
import { checkSameOnAllRanks } from "#src/distributed/agreement.js";
import { joinProcessGroup, launchedRank } from "#src/distributed/process-group.js";
import { UsageError } from "#src/errors.js";
import { hash, lists, makeValues } from "./ranks.js";

const { TEST_DEVICE: deviceName = "cpu", TEST_TIMEOUT = "30" } = process.env;
const options = { device: deviceName, timeout: Number(TEST_TIMEOUT) };

const tasks: Record<string, () => unknown> = {
  sum: sumLists,
  values: exchangeValues,
  errors: collectErrors,
  hang,
  leaveEarly,
  exitWithMinusOne,
};

if (isMainThread) await runTask(process.argv[2]);
else parentPort?.postMessage(tryCall(() => device("cpu").kernels.allReduce([new Float32Array(3)])));

async function runTask(name: string): Promise<void> {
  try {
    const result = await tasks[name]();
    if (result) console.log(JSON.stringify(result));
  } catch (error) {
    if (launchedRank() === 0) console.error(`tinybard: ${(error as Error).message}`);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  }
}

/** Sums each of `lists`, and a captured step three times by replay. */
async function sumLists() {
  const { mul, tensor } = await import("tinybard"); // the other tasks load less
  const communicator = joinProcessGroup(options);
  const { rank, size } = communicator;
  const on = device(deviceName as "cpu");
  communicator.useDevice(on);
  const sums = lists.map((lengths) => {
    const storages = lengths.map((n, i) => on.upload("f32", makeValues(n, i + 1000 * rank)));
    on.kernels.allReduce(storages.map((x) => x.buffer as Float32Array));
    return hash(storages.map((x) => on.download(x) as Float32Array));
  });
  const step = on.capture((x: Tensor) => {
    const y = mul(x, 2);
    on.kernels.allReduce([y.floats]);
    return y;
  });
  const replays = Array.from({ length: 5 }, (_, i) =>
    hash([step(tensor(makeValues(77, i + 1000 * rank), { device: on })).data() as Float32Array]),
  );
  const calls = on.calls.native.get("allReduce");
  communicator.close();
  return { rank, size, sums, replays, calls };
}

/** Uses each method of the communicator. */
function exchangeValues() {
  const communicator = joinProcessGroup(options);
  const { rank, size, localRank, localSize, engine } = communicator;
  const isFirst = rank === 0;
  const bytes = communicator.broadcast(isFirst ? new TextEncoder().encode("é\0!") : null);
  const empty = communicator.broadcast(isFirst ? new Uint8Array(0) : null);
  const floats = Float32Array.of(rank, 2.5 * rank, 7);
  communicator.broadcastInto(floats);
  const doubles = Float64Array.of(0.1 + rank, 1e16, rank === 0 ? -1e16 : 1);
  communicator.sum(doubles);
  const long = new Float32Array(70_001).fill(rank + 1);
  communicator.sum(long);
  communicator.sum(new Float64Array(0));
  communicator.barrier();
  const result = {
    rank,
    size,
    localRank,
    localSize,
    engine,
    again: joinProcessGroup() === communicator,
    any: [communicator.any(false), communicator.any(rank === size - 1), communicator.any(true)],
    bytes: [...bytes],
    empty: empty.length,
    floats: [...floats],
    doubles: [...doubles],
    long: [long[0], long[65_536], long[70_000]],
    texts: communicator.gather(rank === 1 ? "" : `rank ${rank} é`),
  };
  communicator.close();
  communicator.close();
  return result;
}

/** Returns the messages of what cannot be: ranks that differ, other devices, other threads. */
async function collectErrors() {
  const communicator = joinProcessGroup(options);
  const { rank, size } = communicator;
  const simd = rank === size - 1 ? "scalar" : "avx512";
  const thread = new Worker(new URL(import.meta.url));
  const fromThread = await new Promise((resolve, reject) => {
    thread.on("message", resolve).on("error", reject);
  });
  const result = {
    rank,
    errors: [
      tryCall(() => checkSameOnAllRanks(communicator, `host${rank}`, { version: "1", simd })),
      tryCall(() => checkSameOnAllRanks(communicator, "a", { version: "1" })),
      tryCall(() => communicator.useDevice(device("ts"))),
      tryCall(() => communicator.useDevice(device(rank === 1 ? "cpu" : "ts"))),
      tryCall(() => device("cpu").kernels.allReduce([new Float64Array(3)])),
      fromThread,
    ],
  };
  communicator.close();
  return { ...result, afterClose: tryCall(() => communicator.barrier()) };
}

/** Returns the name and the message of the error that `fn` throws. */
function tryCall(fn: () => void): string {
  try {
    fn();
    return "no error";
  } catch (error) {
    const { name, message } = error as Error;
    return `${name}: ${message}`;
  }
}

/** Rank 1 never comes to the barrier. */
async function hang() {
  const communicator = joinProcessGroup(options);
  if (communicator.rank === 1) await setTimeout(60_000);
  communicator.barrier();
  communicator.close();
}

/** Rank 1 ends with exit code 0 while the others wait for it. */
function leaveEarly() {
  const communicator = joinProcessGroup(options);
  if (communicator.rank === 1) process.exit(0);
  communicator.barrier();
  communicator.close();
}

/** Rank 1 ends with a code that is not an exit status while the others wait for it. */
function exitWithMinusOne() {
  const communicator = joinProcessGroup(options);
  if (communicator.rank === 1) process.exit(-1);
  communicator.barrier();
}
