// Model FLOPs utilization: the work of a token, and what the device could do.

import * as assert from "uvu/assert";
import { getDefaults } from "#src/options.js";
import { type TrainConfig, trainOptions } from "#src/train/config.js";
import { flopsPerToken, measureMatmulFlops } from "#src/train/mfu.js";
import { eachDevice } from "../support/support.js";

eachDevice("mfu", (test, on) => {
  test("a token's work: 6 a parameter but for positions, 12 L C T of attention", () => {
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
    test(`the device's rate in ${dtype} is measured, and leaves nothing behind`, () => {
      const before = on.pool.liveBytes;
      const rate = measureMatmulFlops(on, dtype);
      assert.ok(rate > 1e6 && rate < 1e16, `${rate} operations a second`);
      assert.is(on.pool.liveBytes, before);
    });
});
