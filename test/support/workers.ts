// A program for addon.test.ts: in each round, worker threads load the addon, train on it, and are
// terminated in the middle of a step. One of them does not use the thread pool. With the argument
// `main`, the main thread trains too. It imports modules of the library rather than all of it,
// because a hundred workers load them.

import { once } from "node:events";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { device, setDefaultDevice, workAlone } from "#src/backend/devices.js";
import { Linear } from "#src/nn/layers.js";
import { gelu } from "#src/ops/activations.js";
import { ones } from "#src/ops/creation.js";
import { sum } from "#src/ops/reductions.js";
import { AdamW } from "#src/optim/algorithms.js";
import { scope } from "#src/scope.js";
import type { Tensor } from "#src/tensor/tensor.js";
import { isWine } from "./platform.js";

const width = 128;

/** Returns a training step, which its second call captures and later calls replay. */
function createTrainer(): () => void {
  setDefaultDevice("cpu");
  const layer = new Linear(width, width);
  const optimizer = new AdamW(layer.parameters());
  const step = device("cpu").capture((x: Tensor) => {
    sum(gelu(layer.forward(x))).backward();
    optimizer.step();
    optimizer.zeroGrad();
  });
  const x = ones([width, width]);
  return () => scope(() => step(x));
}

if (isMainThread) {
  const step = process.argv[2] === "main" ? createTrainer() : () => {};
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
  const step = createTrainer();
  for (let i = 0; ; i++) {
    step();
    if (i === 5) parentPort?.postMessage("trained");
  }
}
