// Training on a device with memory of its own: from the third step on one replay of a graph, and
// nothing of it on the host.

import { type Device, GPT, keep, manualSeed, optim, scope, type Tensor, tensor } from "tinybard";
import * as assert from "uvu/assert";
import { sampleBatch, toCounterTensor } from "#src/data/batches.js";
import { eachDevice } from "../support/support.js";

/** The lecture's model, as deep as its 10.8 M parameters are, but narrow. */
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

eachDevice("resident", (test, on) => {
  const { addon } = on;
  if (!addon || !("counts" in addon)) {
    test.skip("is for devices with memory of their own");
    return;
  }

  const sum = (calls: Map<string, number>) => [...calls.values()].reduce((a, b) => a + b, 0);
  const counts = () => ({ ...addon.counts(), ts: sum(on.calls.ts), calls: sum(on.calls.native) });
  const since = (before: ReturnType<typeof counts>) => {
    const now = counts();
    const keys = Object.keys(now) as (keyof typeof now)[];
    return Object.fromEntries(keys.map((key) => [key, now[key] - before[key]])) as typeof now;
  };

  /** A function that takes a training step; and the model. */
  const training = (device: Pick<Device, "capture">, dtype: "f32" | "bf16", gradClip = 1) => {
    manualSeed(4);
    const model = new GPT(config).to(dtype);
    const groups = [[...model.parameters()].slice(0, 9), [...model.parameters()].slice(9)];
    const optimizer = new optim.AdamW(
      groups.map((params) => ({ params })),
      { lr: 1e-2 },
    );
    const tokens = keep(tensor(Int32Array.from({ length: 999 }, (_, i) => (i * i) % 65)));
    const step = device.capture((place: Tensor) => {
      const [x, y] = sampleBatch(tokens, place, "batch", [4, 16]);
      const loss = model.forward(x, y, { logits: false }).loss as Tensor;
      loss.backward();
      optim.clipGradients(model.parameters(), gradClip);
      optimizer.step();
      optimizer.zeroGrad();
      return loss;
    });
    return { model, take: (i: number) => step(toCounterTensor({ site: 0, step: i }, on)) };
  };

  for (const dtype of ["f32", "bf16"] as const) {
    test(`${dtype}: from the third step on no kernel is called, nothing read, nothing allocated`, () => {
      const { take } = training(on, dtype);
      for (let i = 0; i < 2; i++) scope(() => void take(i));
      for (let i = 2; i < 6; i++) {
        const before = counts();
        scope(() => void take(i));
        const { launches, ...rest } = since(before);
        assert.ok(launches > 100 && launches <= 150, `${launches} launches`);
        assert.equal(rest, { reads: 0, allocations: 0, ts: 0, calls: 1 }); // the place is copied
      }
    });

    test(`${dtype}: with dropout, replayed steps equal plain ones bit for bit`, () => {
      const run = (device: Pick<Device, "capture">) => {
        const { model, take } = training(device, dtype);
        const losses = Array.from({ length: 8 }, (_, i) => scope(() => take(i).item()));
        return [losses, [...model.parameters()].map((w) => w.data())];
      };
      const plain = { capture: <A extends unknown[], R>(step: (...inputs: A) => R) => step };
      const [replayed, again, expected] = [run(on), run(on), run(plain)];
      assert.equal(replayed, expected);
      assert.equal(again, replayed);
      assert.ok((replayed[0] as number[]).every((loss) => loss > 0.5 && loss < 5));
    });
  }

  test("bf16: the weights are f32, and what is multiplied by is always like them", () => {
    const { model, take } = training(on, "bf16");
    for (let i = 0; i < 4; i++) scope(() => void take(i));
    for (const w of model.parameters()) {
      assert.is(w.dtype, "f32");
      if (!w.storage.hasBf16Copy) continue;
      const copy = on.memory.read(w.storage.bf16Copy);
      const near = (x: number, i: number) => Math.abs(x - copy[i]) <= 2 ** -8 * Math.abs(x);
      assert.ok(Array.from(w.data()).every(near));
    }
    const [w] = model.parameters();
    w.fill(3); // from outside of a step
    assert.is(on.memory.read(w.storage.bf16Copy)[7], 3);
  });
});
