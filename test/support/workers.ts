// A program for addon.test.ts: in each round, worker threads load the addon, train on it, and are
// terminated in the middle of a step. One of them does not use the thread pool. With the argument
// `main`, the main thread trains too.

import { once } from "node:events";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import type { Tensor } from "tinybard";
import { workAlone } from "#src/backend/devices.js";
import { isWine } from "./platform.js";

const width = 128;

/** Returns a training step, which its second call captures and later calls replay. */
async function createTrainer(): Promise<() => void> {
  const { device, nn, optim, ones, scope, setDefaultDevice } = await import("tinybard");
  setDefaultDevice("cpu");
  const layer = new nn.Linear(width, width);
  const optimizer = new optim.AdamW(layer.parameters());
  const step = device("cpu").capture((x: Tensor) => {
    layer.forward(x).gelu().sum().backward();
    optimizer.step();
    optimizer.zeroGrad();
  });
  const x = ones([width, width]);
  return () => scope(() => step(x));
}

if (isMainThread) {
  const step = process.argv[2] === "main" ? await createTrainer() : () => {};
  const rounds = isWine ? 4 : 20; // a worker takes seconds to start in Wine
  for (let round = 0; round < rounds; round++) {
    const workers = [1, 2, 3].map((i) => new Worker(new URL(import.meta.url), { workerData: i }));
    const trained = workers.map((worker) => once(worker, "message"));
    for (let i = 0; i < 5; i++) step();
    await Promise.all(trained);
    step();
    await Promise.all(workers.map((worker) => worker.terminate()));
    step();
  }
} else {
  if (workerData === 1) workAlone();
  const step = await createTrainer();
  for (let i = 0; ; i++) {
    step();
    if (i === 5) parentPort?.postMessage("trained");
  }
}
