// The division of a step among ranks, and the batches that they sample.

import { device } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type BatchOptions, makeEvaluationSamplers, makeTrainSampler } from "#src/data/sampler.js";
import { toSource } from "#src/data/tokens.js";
import { shareOf } from "#src/distributed/share.js";
import { UsageError } from "#src/errors.js";

const test = suite("distributed/share");

test("ranks divide the batches of a step if they can, otherwise the rows of each", () => {
  const step = { gradAccum: 4, batchSize: 6 };
  assert.equal(shareOf(step, { rank: 1, size: 2 }), {
    size: 2,
    batches: { first: 2, count: 2 },
    rows: { first: 0, count: 6 },
    parts: 4,
    firstPart: 2,
  });
  assert.equal(shareOf(step, { rank: 2, size: 3 }), {
    size: 3,
    batches: { first: 0, count: 4 },
    rows: { first: 4, count: 2 },
    parts: 12,
    firstPart: 8,
  });
});

test("a step that cannot be divided is an error that names numbers that can", () => {
  const messageOf = (gradAccum: number, batchSize: number, size: number) => {
    try {
      shareOf({ gradAccum, batchSize }, { rank: 0, size });
    } catch (error) {
      assert.instance(error, UsageError);
      return (error as Error).message;
    }
    return "";
  };
  assert.match(messageOf(1, 16, 3), /use 2 or 4 processes, or --batch-size 15 or 18$/);
  assert.match(messageOf(1, 1, 2), /use 1 process, or --batch-size 2$/);
  assert.match(messageOf(8, 6, 5), /use 4 or 6 processes, or --batch-size 5 or 10$/);
  assert.match(messageOf(2, 3, 1000), /use 3 processes, or --batch-size 1000$/);
});

const tokens = Int32Array.from({ length: 500 }, (_, i) => i);
const options: BatchOptions = { batchSize: 4, blockSize: 5, gradAccum: 2, dataOrder: "random" };

/** Returns the inputs of a rank's part of a step: an array for each batch. */
function sampleShare(
  data: Parameters<typeof makeTrainSampler>[0],
  own: BatchOptions,
  rank: number,
  size: number,
) {
  const share = shareOf(own, { rank, size });
  const sampler = makeTrainSampler(data, device("ts"), own, share);
  return [7, 8].map((step) =>
    Array.from({ length: share.batches.count }, (_, i) => {
      const counter = { site: share.batches.first + i, step, seed: 3 };
      const [x] = sampler.sample(...sampler.prepare(counter));
      return [...x.data()];
    }),
  );
}

for (const dataOrder of ["random", "epochs"] as const) {
  for (const data of [tokens, toSource(tokens)]) {
    const kind = data instanceof Int32Array ? "memory" : "shards";
    test(`${dataOrder}, tokens in ${kind}: the parts of all ranks are the step of one process`, () => {
      const own = { ...options, dataOrder };
      const [whole] = [sampleShare(data, own, 0, 1)];
      const byBatches = [0, 1].map((rank) => sampleShare(data, own, rank, 2));
      const byRows = [0, 1, 2, 3].map((rank) => sampleShare(data, own, rank, 4));
      for (const step of [0, 1]) {
        assert.equal(
          byBatches.flatMap((steps) => steps[step]),
          whole[step],
        );
        for (const batch of [0, 1])
          assert.equal(
            byRows.flatMap((steps) => steps[step][batch]),
            whole[step][batch],
          );
      }
    });
  }
}

test("ranks that evaluate every second batch sample those of one process", () => {
  const own = { batchSize: 4, blockSize: 5, evalIters: 4 };
  const splits = { train: toSource(tokens), val: toSource(tokens) };
  const sampleSites = (sites: number[], stride: number) => {
    const samplers = makeEvaluationSamplers(splits, device("ts"), own, stride);
    return samplers.map((sampler, s) =>
      sites.map((i) => {
        const counter = { site: s * own.evalIters + i, step: 7, seed: 3 };
        return [...sampler.sample(...sampler.prepare(counter))[0].data()];
      }),
    );
  };
  const [train, val] = sampleSites([0, 1, 2, 3], 1);
  const [oddTrain, oddVal] = sampleSites([1, 3], 2);
  assert.equal(
    [oddTrain, oddVal],
    [
      [train[1], train[3]],
      [val[1], val[3]],
    ],
  );
});

test.run();
