// Runs a synchronous loop without memory calls, in a process or a worker thread of its own, and
// prints by how many MB the resident memory has grown. usage: memory-loops.js DEVICE LOOP [worker]

import { fileURLToPath } from "node:url";
import { isMainThread, Worker } from "node:worker_threads";
import {
  add,
  type DeviceName,
  GPT,
  mul,
  noGrad,
  optim,
  randn,
  setDefaultDevice,
  type Tensor,
  tensor,
} from "tinybard";
import { defaultDevice } from "#src/backend/devices.js";

const MB = 2 ** 20;

const config = { vocabSize: 65, blockSize: 64, nLayer: 2, nHead: 2, nEmbd: 32 };
const createIds = (B: number, offset: number) =>
  tensor(
    Int32Array.from({ length: B * 64 }, (_, i) => (7 * i + offset) % 65),
    { shape: [B, 64] },
  );

/** Makes the body of a loop, which creates new tensors in each iteration. */
type Loop = { iterations: number; start: () => (i: number) => void };

const loops: Record<string, Loop> = {
  elementwise: {
    iterations: 150, // 8 MB each
    start() {
      const a = randn([MB]);
      return () => add(mul(a, 2), 1);
    },
  },
  small: {
    iterations: 200_000,
    start() {
      const a = randn([4]);
      return () => add(mul(a, 2), 1);
    },
  },
  batches: {
    iterations: 500, // 2 MB each
    start() {
      const values = new Float32Array(MB / 2);
      return () => tensor(values);
    },
  },
  forward: {
    iterations: 100, // 8 MB each
    start() {
      const model = new GPT(config);
      const x = createIds(16, 0);
      return () => noGrad(() => model.forward(x));
    },
  },
  dropped: {
    iterations: 80, // 10 MB each
    start() {
      const model = new GPT(config);
      return (i) => model.forward(createIds(16, i), createIds(16, i + 1)).loss?.item();
    },
  },
  training: {
    iterations: 100,
    start() {
      const model = new GPT(config);
      const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-3 });
      return (i) => {
        const values = new Float32Array(MB);
        const { loss } = model.forward(createIds(4, i), createIds(4, i + 1));
        add(loss as Tensor, tensor(values).mean()).backward();
        optimizer.step();
        optimizer.zeroGrad();
      };
    },
  },
  captures: {
    iterations: 100, // 9 MB each
    start() {
      const a = randn([MB / 2]);
      return () => {
        const step = defaultDevice().capture((x: Tensor) => add(mul(x, 2), 1));
        for (let i = 0; i < 4; i++) step(a);
      };
    },
  },
  models: {
    iterations: 150, // 3 MB each
    start: () => () => {
      const model = new GPT({ ...config, nEmbd: 96 });
      return new optim.AdamW(model.parameters(), { lr: 1e-3 });
    },
  },
};

export const loopNames = Object.keys(loops);

/** Runs a loop; prints by how many MB the memory has grown after the first tenth. */
function measure(device: DeviceName, name: string): void {
  setDefaultDevice(device);
  const { iterations, start } = loops[name];
  const body = start();
  let base = 0;
  let peak = 0;
  for (let i = 0; i < iterations; i++) {
    body(i);
    if (i === Math.floor(iterations / 10)) base = process.memoryUsage.rss();
    if (i % Math.ceil(iterations / 100) === 0) peak = Math.max(peak, process.memoryUsage.rss());
  }
  console.log((peak - base) / MB);
}

const [, program, device, name, where] = process.argv;
if (program === fileURLToPath(import.meta.url)) {
  if (where === "worker" && isMainThread)
    new Worker(program, { argv: [device, name, where] }).on("error", (error) => {
      throw error;
    });
  else measure(device as DeviceName, name);
}
