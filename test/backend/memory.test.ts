// Memory over many steps: live bytes stay flat in a loop without memory calls, and with scopes.

import { crossEntropy, nn, OutOfMemoryError, optim, scope, tensor, zeros } from "tinybard";
import * as assert from "uvu/assert";
import { Linear, Sequential } from "#src/nn/layers.js";
import { eachDevice } from "../support/harness.js";
import { isWine } from "../support/platform.js";

const collect = globalThis.gc ?? assert.unreachable.bind(null, "run with --expose-gc");

eachDevice("memory", (test, on) => {
  const createTrainStep = () => {
    const model = new Sequential(
      new Linear(8, 32),
      (x) => x.relu(),
      new nn.LayerNorm(32),
      new Linear(32, 5),
    ).to(on);
    const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-2 });
    const x = tensor(
      Float32Array.from({ length: 64 }, (_, i) => Math.sin(i)),
      { shape: [8, 8], device: on },
    );
    const y = tensor([0, 1, 2, 3, 4, 0, 1, 2], { dtype: "i32", device: on });
    return () => {
      const loss = crossEntropy(model.forward(x), y);
      loss.backward();
      optimizer.step();
      optimizer.zeroGrad();
      return loss.item();
    };
  };

  test("a loop without memory calls, 1,000 steps: live bytes stay flat", async () => {
    const step = createTrainStep();
    const collectAll = async () => {
      for (let i = 0; i < 6; i++) {
        // a finalizer can release objects that the next collection frees, and may be delayed
        collect();
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    };
    const losses = [];
    for (let i = 0; i < 20; i++) losses.push(step());
    await collectAll();
    const before = on.pool.liveBytes;
    for (let i = 0; i < 1000; i++) {
      losses.push(step());
      if (i % 100 === 99) await collectAll();
    }
    await collectAll();
    assert.is(on.pool.liveBytes - before, 0);
    assert.ok(losses[1019] < 0.01 * losses[0], `${losses[0]} -> ${losses[1019]}`);
  });

  test("without yielding: only the loss of each step waits for the garbage collector", () => {
    const step = createTrainStep();
    for (let i = 0; i < 3; i++) step();
    const before = on.pool.liveBytes;
    for (let i = 0; i < 1000; i++) step();
    assert.ok(on.pool.liveBytes - before <= 1000 * 8, `${on.pool.liveBytes - before} bytes`);
  });

  test("in scopes: after the second step, no buffer is allocated or leaked", () => {
    const step = createTrainStep();
    for (let i = 0; i < 2; i++) scope(step);
    const { allocations, liveBytes } = on.pool;
    for (let i = 0; i < 1000; i++) scope(step);
    assert.is(on.pool.allocations, allocations);
    assert.is(on.pool.liveBytes, liveBytes);
  });

  test("out of memory is a catchable error, and the device stays usable", () => {
    on.pool.reclaim(); // as the error will
    const { liveBytes } = on.pool;
    const n = isWine ? 2 ** 16 : 2 ** 20; // Wine searches the address space for a minute
    try {
      zeros([2 ** 20, n, 4], { device: on });
      assert.unreachable();
    } catch (error) {
      assert.instance(error, OutOfMemoryError);
      const requested = isWine ? /1099511\.6 MB requested/ : /17592186\.0 MB requested/;
      assert.match((error as Error).message, requested);
    }
    assert.is(on.pool.liveBytes, liveBytes);
    assert.is(zeros([3], { device: on }).add(1).sum().item(), 3);
  });
});
