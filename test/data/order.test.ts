// The order of the data: random positions as on the device, and epochs, which use each token once.

import { device, manualSeed } from "tinybard";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { epochStarts, fixedStarts, permutation, randomStarts } from "#src/data/order.js";
import { makeEvaluationSamplers, makeTrainSampler } from "#src/data/sampler.js";
import { type TokenSource, toSource } from "#src/data/tokens.js";

const range = (n: number) => Array.from({ length: n }, (_, i) => i);

test("a permutation of n numbers", () => {
  for (const n of [1, 2, 3, 4, 5, 16, 17, 1000, 4096, 4097]) {
    const permute = permutation(n, [1, 2, 3, 4, 5, 6, 7]);
    const found = range(n).map(permute);
    assert.equal(new Set(found).size, n);
    assert.ok(found.every((x) => x >= 0 && x < n));
    if (n >= 1000) {
      const fixed = found.filter((x, i) => x === i).length; // one is expected
      assert.ok(fixed < 10, `${fixed} of ${n} are in their place`);
      const ascending = found.filter((x, i) => i > 0 && x > found[i - 1]).length;
      assert.ok(Math.abs(ascending / n - 0.5) < 0.05, `${ascending} of ${n} ascend`);
    }
    const other = range(n).map(permutation(n, [1, 2, 3, 4, 5, 6, 8]));
    if (n >= 1000) assert.not.equal(found, other);
  }
  const permute = permutation(2 ** 31 - 1, [1, 2, 3, 4, 5, 6, 7]);
  for (const x of range(1000).map(permute)) assert.ok(x >= 0 && x < 2 ** 31 - 1);
});

test("random sequences are those that the device samples", () => {
  manualSeed(1);
  const tokens = Int32Array.from(range(1000), (i) => (i * 7919) % 1009);
  const options = { batchSize: 5, blockSize: 8, gradAccum: 1, dataOrder: "random" } as const;
  const onDevice = makeTrainSampler(tokens, device("auto"), options);
  const onHost = makeTrainSampler(toSource(tokens), device("auto"), options);
  for (const counter of [
    { site: 0, step: 0, seed: 1337 },
    { site: 3, step: 12345, seed: 2 ** 40 + 1 },
  ]) {
    const [x, y] = onDevice.sample(...onDevice.prepare(counter));
    const [ownX, ownY] = onHost.sample(...onHost.prepare(counter));
    assert.equal(ownX.toArray(), x.toArray());
    assert.equal(ownY.toArray(), y.toArray());
  }
});

test("random sequences of more than 2^32 tokens", () => {
  const n = 2 ** 40;
  const findStarts = randomStarts(n, 64, "batch");
  const starts = range(500).flatMap((step) => findStarts({ site: 0, step, seed: 7 }, 5));
  assert.ok(starts.every((start) => Number.isSafeInteger(start) && start >= 0 && start < n - 64));
  assert.is(new Set(starts).size, 2500);
  const mean = starts.reduce((sum, start) => sum + start, 0) / starts.length;
  assert.ok(Math.abs(mean / n - 0.5) < 0.03, `mean ${mean / n}`);
  assert.ok(new Set(starts.map((start) => start % 256)).size > 250, "the low bits are random");
});

/** The tokens 0 to n - 1 in parts. */
function countingSource(parts: number[]): TokenSource {
  const length = parts.reduce((sum, part) => sum + part, 0);
  const read: TokenSource["read"] = (start, count, target, offset) => {
    for (let i = 0; i < count; i++) target[offset + i] = start + i;
  };
  return { length, parts, read };
}

test("epochs use each token once, in another order each time", () => {
  const parts = [100, 3, 41, 250];
  const T = 8;
  const perEpoch = 12 + 0 + 5 + 31; // floor((tokens - 1) / T) of each part
  const findStarts = epochStarts(parts, T, 1);
  const epochs = range(3).map((epoch) =>
    range(perEpoch).flatMap((i) => findStarts({ site: 0, step: epoch * perEpoch + i, seed: 1 }, 1)),
  );
  for (const starts of epochs) {
    const seen = starts.flatMap((start) => range(T).map((t) => start + t));
    assert.is(new Set(seen).size, perEpoch * T);
    const ends = [100, 103, 144, 394];
    for (const start of starts) {
      const end = ends.find((end) => start < end) as number;
      assert.ok(start + T < end, "the target of the last token is in the same part");
    }
    const partOf = starts.map((start) => ends.findIndex((end) => start < end));
    const changes = partOf.filter((part, i) => i > 0 && part !== partOf[i - 1]).length;
    assert.is(changes, 2, "one part after the other");
  }
  assert.not.equal(epochs[0], epochs[1]);
  assert.not.equal(epochs[1], epochs[2]);
  const offsets = new Set(epochs.map((starts) => starts.find((start) => start >= 144)));
  assert.ok(offsets.size > 1);
});

test("epochs depend on counters alone, not on how they are split into batches", () => {
  const parts = [1000, 500];
  const single = epochStarts(parts, 16, 1);
  const all = range(40).flatMap((step) => single({ site: 0, step, seed: 5 }, 6));
  const accumulated = epochStarts(parts, 16, 3);
  const batches = range(40).flatMap((step) =>
    range(3).flatMap((site) => accumulated({ site, step, seed: 5 }, 2)),
  );
  assert.equal(batches, all);
  const backwards = epochStarts(parts, 16, 1); // a resumed run begins anywhere
  const steps = range(40).reverse();
  const reversed = steps.map((step) => backwards({ site: 0, step, seed: 5 }, 6));
  assert.equal(reversed.reverse().flat(), all);
  assert.not.equal(single({ site: 0, step: 0, seed: 6 }, 6), all.slice(0, 6));
});

test("epochs as batches", () => {
  const options = { batchSize: 2, blockSize: 4, gradAccum: 1, dataOrder: "epochs" } as const;
  const sampler = makeTrainSampler(countingSource([30]), device("auto"), options);
  const counter = { site: 0, step: 3, seed: 1 };
  const starts = epochStarts([30], 4, 1)(counter, 2);
  const [x, y] = sampler.sample(...sampler.prepare(counter));
  assert.equal(
    x.toArray(),
    starts.map((start) => range(4).map((t) => start + t)),
  );
  assert.equal(
    y.toArray(),
    starts.map((start) => range(4).map((t) => start + t + 1)),
  );
});

test("batches are read ahead, and those of a slow source prefetched", () => {
  const fast = countingSource([1000]);
  const prefetched: number[] = [];
  let isSlow = true;
  let time = 0;
  performance.now = () => time; // the real one would also measure other programs
  const slow: TokenSource = {
    ...fast,
    read(...args) {
      if (isSlow) time += 0.1;
      fast.read(...args);
    },
    prefetch(start, count) {
      assert.is(count, 5);
      prefetched.push(start);
    },
  };
  const options = { batchSize: 2, blockSize: 4, gradAccum: 3, dataOrder: "random" } as const;
  const findStarts = randomStarts(1000, 4, "batch");
  const counters = range(200).map((i) => ({ site: i % 3, step: 5 + Math.floor(i / 3), seed: 1 }));
  const starts = counters.map((counter) => findStarts(counter, 2));
  const sampler = makeTrainSampler(slow, device("auto"), options);
  for (let i = 1; i < 100; i++) {
    const [x] = sampler.sample(...sampler.prepare(counters[i]));
    assert.equal(
      x.toArray(),
      starts[i].map((start) => range(4).map((t) => start + t)),
    );
  }
  assert.equal(prefetched.splice(0, 64), starts.slice(33, 65).flat());
  isSlow = false;
  prefetched.length = 0;
  for (let step = 0; step < 2000; step++) sampler.prepare({ site: 0, step, seed: 1 });
  const afterSlowReads = 8 * 64;
  assert.ok(prefetched.length <= afterSlowReads, `${prefetched.length} of a fast source`);
  Reflect.deleteProperty(performance, "now"); // the method of its class remains
});

test("an error of a later batch is thrown when it is that batch's turn", () => {
  const source = countingSource([1000]);
  const starts = range(20).map((step) =>
    fixedStarts(1000, 4, 0)({ site: step, step: 0, seed: 1 }, 1),
  );
  const failing: TokenSource = {
    ...source,
    read(start, ...rest) {
      if (start === starts[5][0]) throw new Error("damaged");
      source.read(start, ...rest);
    },
  };
  const samplers = makeEvaluationSamplers({ train: failing, val: failing }, device("auto"), {
    batchSize: 1,
    blockSize: 4,
    evalIters: 0,
  });
  const prepare = (site: number) => samplers[1].prepare({ site, step: 0, seed: 1 });
  for (let site = 0; site < 5; site++) prepare(site);
  assert.throws(() => prepare(5), /damaged/);
  prepare(6);
});

test("the fixed sequences of an evaluation", () => {
  const findStarts = fixedStarts(41, 8, 10);
  const batches = [10, 11, 12].map((site) => findStarts({ site, step: 99, seed: 1 }, 2));
  assert.equal(batches, [
    [0, 8],
    [16, 24],
    [32, 0],
  ]); // used up
});

test.run();
