// Model FLOPs utilization: the operations per token, and the peak throughput of the device.

import * as assert from "uvu/assert";
import { getDefaults } from "#src/options.js";
import { type TrainConfig, trainOptions } from "#src/train/config.js";
import { flopsPerToken, measureMatmulFlops } from "#src/train/mfu.js";
import { eachDevice } from "../support/harness.js";

eachDevice("mfu", (test, on) => {
  test("operations per token: 6 per parameter except positions, plus 12 L C T for attention", () => {
    const config = {
      ...getDefaults<TrainConfig>(trainOptions),
      nLayer: 4,
      nEmbd: 64,
      blockSize: 32,
    };
    assert.is(flopsPerToken(209_729, config), 6 * (209_729 - 32 * 64) + 12 * 4 * 64 * 32);
    assert.is(flopsPerToken(100, { ...config, model: "bigram" }), 600);
  });

  const isHost = on.memory.isHost;
  for (const dtype of isHost ? (["f32"] as const) : (["f32", "bf16"] as const))
    test(`measures the throughput in ${dtype}, and frees its memory`, () => {
      const before = on.pool.liveBytes;
      const flops = measureMatmulFlops(on, { dtype, matmulPrecision: "highest" });
      assert.ok(flops > 1e6 && flops < 1e16, `${flops} operations per second`);
      assert.is(on.pool.liveBytes, before);
    });
});
