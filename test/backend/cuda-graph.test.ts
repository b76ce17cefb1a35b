// Training on a device with its own memory: from the third step on, a step is one replay of a
// graph, without work on the host.

import { type Device, GPT, keep, manualSeed, optim, scope, type Tensor, tensor } from "tinybard";
import * as assert from "uvu/assert";
import { sampleBatch, toCounterTensor } from "#src/data/batches.js";
import { eachDevice } from "../support/harness.js";

/** The lecture's 10.8 M parameter model with its depth, but narrower. */
const config = {
  vocabSize: 65,
  blockSize: 16,
  nLayer: 6,
  nHead: 6,
  nEmbd: 48,
  dropout: 0.2,
  qkvBias: false,
  tieWeights: false,
  lmHeadBias: true,
  activation: "relu",
  scaleResidual: false,
} as const;

eachDevice("cuda graph", (test, on) => {
  const { addon } = on;
  if (!addon || !("counts" in addon)) {
    test.skip("requires a device with its own memory");
    return;
  }

  const sum = (calls: Map<string, number>) => [...calls.values()].reduce((a, b) => a + b, 0);
  const getCounts = () => ({
    ...addon.counts(),
    ts: sum(on.calls.ts),
    calls: sum(on.calls.native),
  });
  const getDifference = (before: ReturnType<typeof getCounts>) => {
    const now = getCounts();
    const keys = Object.keys(now) as (keyof typeof now)[];
    return Object.fromEntries(keys.map((key) => [key, now[key] - before[key]])) as typeof now;
  };

  /** Returns a model, and a function that takes a training step. */
  const createTraining = (device: Pick<Device, "capture">, dtype: "f32" | "bf16", gradClip = 1) => {
    manualSeed(4);
    const model = new GPT(config).to(dtype);
    const groups = [[...model.parameters()].slice(0, 9), [...model.parameters()].slice(9)];
    const optimizer = new optim.AdamW(
      groups.map((params) => ({ params })),
      { lr: 1e-2 },
    );
    const tokens = keep(tensor(Int32Array.from({ length: 999 }, (_, i) => (i * i) % 65)));
    const step = device.capture((counter: Tensor) => {
      const [x, y] = sampleBatch(tokens, counter, "batch", [4, 16]);
      const loss = model.forward(x, y, { logits: false }).loss as Tensor;
      loss.backward();
      optim.clipGradients(model.parameters(), gradClip);
      optimizer.step();
      optimizer.zeroGrad();
      return loss;
    });
    return { model, runStep: (i: number) => step(toCounterTensor({ site: 0, step: i }, on)) };
  };

  for (const dtype of ["f32", "bf16"] as const) {
    test(`${dtype}: from the third step on, no kernel calls, reads or allocations`, () => {
      const { runStep } = createTraining(on, dtype);
      for (let i = 0; i < 2; i++) scope(() => void runStep(i));
      for (let i = 2; i < 6; i++) {
        const before = getCounts();
        scope(() => void runStep(i));
        const { launches, ...rest } = getDifference(before);
        assert.ok(launches > 100 && launches <= 150, `${launches} launches`);
        // the only call copies the RNG counter
        assert.equal(rest, { reads: 0, allocations: 0, ts: 0, calls: 1 });
      }
    });

    test(`${dtype}: with dropout, replayed steps equal uncaptured steps bit for bit`, () => {
      const run = (device: Pick<Device, "capture">) => {
        const { model, runStep } = createTraining(device, dtype);
        const losses = Array.from({ length: 8 }, (_, i) => scope(() => runStep(i).item()));
        return [losses, [...model.parameters()].map((w) => w.data())];
      };
      const uncaptured = { capture: <A extends unknown[], R>(step: (...inputs: A) => R) => step };
      const replayed = run(on);
      const again = run(on);
      const expected = run(uncaptured);
      assert.equal(replayed, expected);
      assert.equal(again, replayed);
      assert.ok((replayed[0] as number[]).every((loss) => loss > 0.5 && loss < 5));
    });
  }

  test("bf16: the weights are f32, and their bf16 copies are up to date", () => {
    const { model, runStep } = createTraining(on, "bf16");
    for (let i = 0; i < 4; i++) scope(() => void runStep(i));
    for (const w of model.parameters()) {
      assert.is(w.dtype, "f32");
      if (!w.storage.hasBf16Copy) continue;
      const copy = on.memory.read(w.storage.bf16Copy);
      const isClose = (x: number, i: number) => Math.abs(x - copy[i]) <= 2 ** -8 * Math.abs(x);
      assert.ok(Array.from(w.data()).every(isClose));
    }
    const [w] = model.parameters();
    w.fill(3); // outside of a step
    assert.is(on.memory.read(w.storage.bf16Copy)[7], 3);
  });
});
