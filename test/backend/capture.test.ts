// A captured step returns the same bits as the step without capture: when it is replayed, when it
// is captured again because something has changed, and when it cannot be captured.

import {
  add,
  type Device,
  dropout,
  embedding,
  GPT,
  type GPTOptions,
  manualSeed,
  mul,
  nn,
  noGrad,
  ones,
  optim,
  randn,
  scope,
  type Tensor,
  tensor,
  zeros,
} from "tinybard";
import * as assert from "uvu/assert";
import { KVCache } from "#src/gpt/kv-cache.js";
import { eachDevice } from "../support/harness.js";

const config = { vocabSize: 11, blockSize: 8, nLayer: 2, nHead: 2, nEmbd: 16, dropout: 0.2 };
const modern = {
  ...config,
  positions: "rotary",
  activation: "relu2",
  qkNorm: true,
  tokenShift: true,
  logitSoftcap: 15,
} as const;

eachDevice("capture", (test, on) => {
  const createIds = (B: number, T: number, offset: number) =>
    tensor(
      Int32Array.from({ length: B * T }, (_, i) => (i * i + offset) % 11),
      { shape: [B, T], device: on },
    );

  /** Trains for one step per shape. Returns the losses, gradient norms and final weights. */
  const train = (
    device: Pick<Device, "capture">,
    shapes: [number, number][],
    options: GPTOptions = config,
  ) => {
    manualSeed(5);
    const model = new GPT(options);
    const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-2 });
    const computeGradients = device.capture((x: Tensor, y: Tensor) => {
      const loss = model.forward(x, y, { logits: false }).loss as Tensor;
      loss.backward();
      return { loss: loss.detach(), norms: [optim.clipGradients(model.parameters(), 1)] };
    });
    const update = device.capture(() => {
      optimizer.step();
      optimizer.zeroGrad();
    });
    const evaluate = device.capture((x: Tensor, y: Tensor) =>
      noGrad(() => model.forward(x, y).loss as Tensor),
    );
    const log: unknown[] = [];
    for (const [step, [B, T]] of shapes.entries()) {
      optimizer.lr = 1e-2 / (step + 1);
      scope(() => {
        const { loss, norms } = computeGradients(createIds(B, T, step), createIds(B, T, step + 1));
        log.push(loss.item(), norms[0]?.item());
        update();
      });
      if (step % 4 !== 3) continue;
      model.eval();
      log.push(scope(() => evaluate(createIds(2, 8, 0), createIds(2, 8, 1)).item()));
      model.train();
    }
    return [...log, ...[...model.parameters()].map((w) => w.data())];
  };
  const uncaptured = { capture: <A extends unknown[], R>(step: (...inputs: A) => R) => step };

  test("training, with dropout and evaluations, equals uncaptured training bit for bit", () => {
    const shapes = Array.from({ length: 12 }, (): [number, number] => [3, 8]);
    for (const options of [config, modern])
      assert.equal(train(on, shapes, options), train(uncaptured, shapes, options));
  });

  test("shapes may change from call to call", () => {
    const shapes: [number, number][] = [
      [3, 8],
      [3, 8],
      [3, 8],
      [2, 5],
      [2, 5],
      [3, 8],
      [3, 8],
    ];
    assert.equal(train(on, shapes), train(uncaptured, shapes));
  });

  test("each call uses new random numbers, the same as without capture", () => {
    const runDropout = (device: Pick<Device, "capture">) => {
      manualSeed(3);
      const step = device.capture((x: Tensor) => dropout(x, { p: 0.5 }));
      return Array.from({ length: 6 }, () => {
        const kept = step(ones([40])).data();
        return [...kept, ...dropout(ones([8])).data()];
      });
    };
    const captured = runDropout(on);
    const expected = runDropout(uncaptured);
    assert.equal(captured, expected);
    assert.not.equal(captured[4], captured[5]);
  });

  test("gradients accumulate in an existing gradient", () => {
    const run = (device: Pick<Device, "capture">) => {
      const w = ones([2], { requiresGrad: true });
      const step = device.capture((x: Tensor) => mul(w, x).sum().backward());
      const results = [];
      for (let i = 0; i < 7; i++) {
        if (i === 5) w.grad = null;
        step(tensor([1, i]));
        results.push(w.grad?.toArray());
      }
      return results;
    };
    assert.equal(run(on), run(uncaptured));
  });

  test("a module that moves to new memory is captured again", () => {
    const run = (device: Pick<Device, "capture">) => {
      manualSeed(2);
      const layer = new nn.Linear(2, 2);
      const step = device.capture((x: Tensor) => noGrad(() => layer.forward(x)));
      const results = [];
      for (let i = 0; i < 6; i++) {
        if (i === 3) layer.to("ts").to(on);
        layer.weight.fill(i);
        results.push(step(ones([1, 2])).toArray());
      }
      return results;
    };
    assert.equal(run(on), run(uncaptured));
  });

  test("a replayed update invalidates graphs that were recorded before it", () => {
    const w = ones([2], { requiresGrad: true });
    const optimizer = new optim.SGD([w], { lr: 0.1 });
    const step = on.capture((x: Tensor) => {
      mul(w, x).sum().backward();
      optimizer.step();
      optimizer.zeroGrad();
    });
    for (let i = 0; i < 3; i++) step(ones([2]));
    const loss = mul(w, w).sum();
    step(ones([2]));
    assert.throws(() => loss.backward(), /input 0 of mul was changed in place/);
  });

  test("f64, host values and graphs that cross the step run without capture", () => {
    const double = on.capture((x: Tensor) => add(x, x));
    const x = tensor([1, 2], { dtype: on.memory.isHost ? "f64" : "f32" });
    for (let i = 0; i < 4; i++) assert.equal(double(x).toArray(), [2, 4]);

    const w = ones([1], { requiresGrad: true });
    const inner = on.capture((x: Tensor) => mul(x, x));
    const resetGrad = () => {
      w.grad = null; // in a function, so that TypeScript does not narrow the type
    };
    for (let i = 0; i < 4; i++) {
      resetGrad();
      inner(mul(w, 3)).backward();
      assert.equal(w.grad?.toArray(), [18]);
    }
    const scaled = on.capture((x: Tensor, factor: number) => mul(x, factor));
    for (const i of [0, 1, 2, 3]) assert.equal(scaled(ones([1]), i).toArray(), [i]);
  });

  test("an error in a step reaches the caller, and the next call works", () => {
    const table = randn([4, 2]);
    const rows = on.capture((idx: Tensor) => embedding(idx, table));
    const valid = tensor([0, 3], { dtype: "i32" });
    for (let i = 0; i < 3; i++) rows(valid);
    assert.throws(
      () => rows(tensor([0, 4], { dtype: "i32" })).data(), // cuda: an error at the next read
      /embedding: idx\[1\] is 4, expected 0 to 3/,
    );
    assert.equal(
      rows(valid).toArray(),
      [table.data().slice(0, 2), table.data().slice(6)].map((r) => [...r]),
    );
  });

  test("reading or uploading inside throws, captured or replayed", () => {
    const reading = on.capture((x: Tensor) => x.item());
    const making = on.capture((x: Tensor) => add(x, tensor([1])));
    for (let i = 0; i < 3; i++) {
      assert.throws(
        () => reading(zeros([1])),
        /item\(\), data\(\) or toArray\(\) inside a captured step/,
      );
      assert.throws(() => making(zeros([1])), /tensor\(host data\) inside a captured step/);
    }
  });

  test("from the third call on, a device with an addon is called only to replay", () => {
    const step = on.capture((x: Tensor) => mul(x, x));
    const counts = Array.from({ length: 4 }, () => {
      step(ones([2]));
      return on.calls[on.addon ? "native" : "ts"].get("mul") ?? 0;
    });
    const steps = counts.slice(1).map((count, i) => count - counts[i]);
    assert.equal(steps, on.addon ? [1, 0, 0] : [1, 1, 1]);
  });

  test("a forward pass with a KV cache starts where the cache ends", () => {
    const model = new GPT({ ...config, dropout: 0 });
    const run = (device: Pick<Device, "capture">) => {
      const cache = new KVCache(model.config, { device: on });
      const step = device.capture((x: Tensor) => noGrad(() => model.hidden(x, cache)));
      return Array.from({ length: 8 }, (_, i) => {
        if (cache.used === 8) cache.clear();
        const hidden = step(createIds(1, 2, i)).data();
        cache.advance(2);
        return hidden;
      });
    };
    manualSeed(2);
    for (const w of model.parameters()) w.assign(randn(w.shape));
    assert.equal(run(on), run(uncaptured));
  });

  test("a step that throws while it is captured leaves no memory behind, and works later", () => {
    let fails = false;
    const step = on.capture((x: Tensor) => {
      const y = mul(x, 2);
      if (fails) throw new Error("oops");
      return y;
    });
    scope(() => step(ones([100])));
    const { liveBytes } = on.pool;
    fails = true;
    for (let i = 0; i < 3; i++) {
      assert.throws(() => scope(() => step(ones([100]))), /oops/);
      assert.is(on.pool.liveBytes, liveBytes);
    }
    fails = false;
    for (let i = 0; i < 3; i++) {
      scope(() => assert.is(step(ones([100])).data()[99], 2));
    }
  });

  test("a first run that throws restores the peak", () => {
    const peak = on.pool.peakBytes;
    const step = on.capture(() => {
      throw new Error("oops");
    });
    assert.throws(() => step(), /oops/);
    assert.is(on.pool.peakBytes, peak);
  });

  test("memory: replays allocate nothing, and new captures keep live bytes flat", () => {
    const layer = new nn.Linear(8, 8);
    const step = on.capture((x: Tensor) => layer.forward(x).sum().backward());
    const runStep = () =>
      scope(() => {
        for (const w of layer.parameters()) w.grad = null;
        step(ones([4, 8]));
      });
    for (let i = 0; i < 4; i++) runStep();
    const { allocations, liveBytes } = on.pool;
    for (let i = 0; i < 200; i++) {
      if (i % 20 === 0) layer.train(i % 40 === 0);
      runStep();
    }
    assert.equal([on.pool.allocations, on.pool.liveBytes], [allocations, liveBytes]);
  });
});
