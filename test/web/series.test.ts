// The data of the Curves view: growing columns, the smoothed loss, downsampling, axes, number
// formats, and the options in which runs differ.

import fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { logTicks, yRange } from "#src/web/page/axis.js";
import { downsample, getSampleXs } from "#src/web/page/downsample.js";
import { formatDuration, formatShort } from "#src/web/page/format.js";
import { getOptionNames } from "#src/web/page/options.js";
import { Column, Series } from "#src/web/page/series.js";

const test = suite("web/series");
const createRow = (step: number, loss: number) => ({ step, loss, elapsedSeconds: step / 10 });
const toColumn = (values: number[]) => {
  const column = new Column();
  for (const value of values) column.push(value);
  return column;
};
const toArray = ({ values, length }: Column) => [...values.subarray(0, length)];

test("rows become columns: missing values are NaN, and evaluations have their own columns", () => {
  const series = new Series();
  series.append(Array.from({ length: 1000 }, (_, i) => createRow(i, i / 2)));
  series.append([{ ...createRow(1000, 7), trainLoss: 1, valLoss: 2 }]);
  series.append([{ step: 1001, elapsedSeconds: 101, trainLoss: 3, valLoss: 4 }]);
  assert.is(series.steps.step.length, 1001);
  assert.is(series.steps.loss.values[999], 499.5);
  assert.is(series.steps.loss.last(), 7);
  assert.ok(Number.isNaN(series.steps.lr.last()));
  assert.equal(toArray(series.evaluations.step), [1000, 1001]);
  assert.equal(toArray(series.evaluations.valLoss), [2, 4]);
});

test("a row of an earlier step replaces all rows from that step on", () => {
  const series = new Series();
  series.append([1, 2, 3, 4].map((step) => createRow(step, step)));
  series.append([{ ...createRow(5, 5), trainLoss: 1, valLoss: 1 }]);
  assert.is(series.smooth(0.5).length, 5);
  series.append([createRow(3, 9)]);
  assert.equal(toArray(series.steps.loss), [1, 2, 9]);
  assert.is(series.evaluations.step.length, 0);
  assert.is(series.smooth(0.5).length, 3);
  series.clear();
  assert.is(series.steps.loss.length, 0);
});

test("the smoothed loss is the mean of all losses so far with weights 1, w, w^2, ...", () => {
  const losses = [4, 2, 3, Number.NaN, 1];
  const series = new Series();
  series.append(losses.slice(0, 2).map((loss, i) => createRow(i, loss)));
  series.smooth(0.8); // is extended incrementally below
  series.append(losses.slice(2).map((loss, i) => createRow(i + 2, loss)));
  for (const w of [0.8, 0]) {
    const smoothed = toArray(series.smooth(w));
    for (const [i, value] of smoothed.entries()) {
      const before = losses.slice(0, i + 1).filter((loss) => !Number.isNaN(loss));
      const weights = before.map((_, j) => w ** (before.length - 1 - j));
      const sum = before.reduce((total, loss, j) => total + loss * weights[j], 0);
      const expected = sum / weights.reduce((total, weight) => total + weight, 0);
      assert.ok(Math.abs(value - expected) < 1e-12, `${w} ${i}: ${value}, expected ${expected}`);
    }
  }
});

test("downsampling keeps the minimum and maximum of each pixel column, in order", () => {
  const points = fc.array(fc.double({ min: -9, max: 9, noNaN: true }), { maxLength: 60 });
  fc.assert(
    fc.property(points, fc.integer({ min: 1, max: 12 }), (ys, count) => {
      const x = toColumn(ys.map((_, i) => i));
      const range = [0, Math.max(1, ys.length - 1)] as const;
      const sampled = downsample(x, toColumn(ys), range, count);
      assert.is(sampled.length, getSampleXs(range, count).length);
      const width = range[1] / count;
      for (let column = 0; column < count; column++) {
        const inside = ys.filter((_, i) => Math.min(count - 1, Math.floor(i / width)) === column);
        const drawn = sampled.slice(2 * column + 1, 2 * column + 3).filter((y) => y !== null);
        const extremes = [Math.min(...inside), Math.max(...inside)];
        const expected = inside.length ? [...new Set(extremes)] : [];
        assert.equal(
          [...drawn].sort((a, b) => a - b),
          expected,
        );
        if (drawn.length === 2) assert.ok(inside.indexOf(drawn[0]) < inside.lastIndexOf(drawn[1]));
      }
    }),
  );
});

test("findExtremes returns the minimum and maximum, also after truncation, and ignores NaN", () => {
  const value = fc.oneof(fc.integer({ min: 0, max: 30 }), fc.constant(Number.NaN));
  const values = fc.array(value, { minLength: 40, maxLength: 90 });
  const check = (column: Column, begin: number, end: number) => {
    const all = toArray(column);
    const inside = all.slice(begin, end).filter((x) => !Number.isNaN(x));
    const found = column.findExtremes(begin, end);
    if (inside.length === 0) return assert.ok(Number.isNaN(all[found[0]]));
    const minimum = all.indexOf(Math.min(...inside), begin);
    const maximum = all.indexOf(Math.max(...inside), begin);
    assert.equal(found, [Math.min(minimum, maximum), Math.max(minimum, maximum)]);
  };
  fc.assert(
    fc.property(values, values, fc.nat(), (before, after, newLength) => {
      const column = toColumn(before);
      check(column, 0, column.length); // fills the cache, which truncation must invalidate
      column.length = newLength % column.length;
      for (const x of after) column.push(x);
      for (const [begin, count] of [[0], [3], [16, 16], [16, 23], [15, 20]] as const)
        check(column, begin, count ? begin + count : column.length);
    }),
  );
});

test("at the edges of the plot, lines are interpolated", () => {
  const x = toColumn([0, 10, 20]);
  const y = toColumn([0, 100, 300]);
  const sampled = downsample(x, y, [5, 15], 10);
  assert.is(sampled[0], 50);
  assert.is(sampled.at(-1), 200);
  assert.equal(
    sampled.slice(1, -1).filter((value) => value !== null),
    [100],
  );
  assert.equal(downsample(x, y, [12, 16], 2), [140, null, null, null, null, 220]);
  assert.equal(getSampleXs([0, 4], 2), [0, 1, 1.5, 3, 3.5, 4]);
});

test("findNearest returns the index of the nearest value, and -1 for an empty column", () => {
  const x = toColumn([0, 10, 20]);
  assert.equal(
    [-5, 4, 6, 14, 99].map((at) => x.findNearest(at)),
    [0, 0, 1, 1, 2],
  );
  assert.is(toColumn([]).findNearest(3), -1);
});

test("option names: all, or those that differ or that some runs lack, without the folder", () => {
  const runs = [
    { config: { seed: 1, nEmbd: 8, out: "a", betas: [1, 2] } },
    { config: { seed: 2, nEmbd: 8, out: "b", betas: [1, 2], loraRank: 4 } },
  ];
  assert.equal(getOptionNames(runs, true), ["loraRank", "seed"]);
  assert.equal(getOptionNames(runs, false), ["betas", "loraRank", "nEmbd", "seed"]);
  assert.equal(getOptionNames(runs.slice(0, 1), true), []);
});

test("axes: a margin, an optional zero, and round ticks on a logarithmic axis", () => {
  assert.equal(yRange(2, 4, false, false), [1.9, 4.1]);
  assert.equal(yRange(2, 4, false, true), [0, 4.1]);
  assert.equal(yRange(null, null, false, false), [0, 1]);
  assert.equal(yRange(3, 3, true, false), [1.5, 6]);
  assert.equal(logTicks(1.4, 4.3), [2, 3, 4]);
  assert.equal(logTicks(0.3, 30), [0.5, 1, 2, 5, 10, 20]);
});

test("short formats of numbers and durations", () => {
  const cases = {
    0: "0",
    0.001: "0.001",
    0.00005: "5e-5",
    0.00031: "0.00031",
    1.8423: "1.842",
    12345: "12.35K",
  };
  for (const [x, text] of Object.entries(cases)) assert.is(formatShort(Number(x)), text);
  assert.is(formatShort(2e-5), "2e-5");
  assert.equal([3, 3.44, 65, 3723].map(formatDuration), ["3 s", "3.4 s", "1:05", "1:02:03"]);
});

test.run();
