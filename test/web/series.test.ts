// The data of the Curves view: growing columns, the smoothed loss, downsampling, axes, number
// formats, and the options in which runs differ.

import fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { logTicks, yRange } from "#src/web/page/axis.js";
import { Column } from "#src/web/page/column.js";
import { downsample, getSampleXs } from "#src/web/page/downsample.js";
import { formatDuration, formatShort } from "#src/web/page/format.js";
import { getOptionNames } from "#src/web/page/options.js";
import { Series } from "#src/web/page/series.js";

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

test("values that are not rows, and metrics that are not numbers, are passed over", () => {
  const invalid = [
    null,
    undefined,
    7,
    "step",
    [],
    [1],
    {},
    { step: null, loss: 1 },
    { step: "1", loss: 1 },
    { step: Number.NaN, loss: 1 },
    { step: Infinity, loss: 1 },
    { step: 1e308, loss: 1 },
    { step: { step: 1 }, loss: 1 },
    JSON.parse('{"__proto__": {"step": 1, "loss": 1}}'),
  ];
  const series = new Series();
  series.append([createRow(1, 1), ...invalid, createRow(2, 2)]);
  assert.equal(toArray(series.steps.step), [1, 2]);
  for (const loss of [null, "3", [], {}, Number.NaN, Infinity, 1e308, -1e31]) {
    series.append([{ step: 3, loss, lr: "x", valLoss: loss, elapsedSeconds: 1 }]);
    assert.is(series.steps.step.last(), 3);
    assert.ok(Number.isNaN(series.steps.loss.last()), String(loss));
    assert.ok(Number.isNaN(series.steps.lr.last()));
    assert.ok(Number.isNaN(series.evaluations.valLoss.last()));
  }
  series.append([createRow(-1e12, 5), createRow(-1, 4), createRow(0.5, 3), createRow(0.5, 2)]);
  assert.equal(toArray(series.steps.step), [-1e12, -1, 0.5]);
  series.clear();
  assert.is(series.steps.step.length, 0);
});

test("times never decrease, since they serve as an x axis", () => {
  const series = new Series();
  for (const [step, elapsedSeconds] of [5, 3, null, "9", Number.NaN, -1, 1e300, 6].entries())
    series.append([{ step, loss: 1, elapsedSeconds }]);
  assert.equal(toArray(series.steps.elapsedSeconds), [5, 5, 5, 5, 5, 5, 5, 6]);
});

test("a long run is thinned: extremes, the first and last rows, and the count are kept", () => {
  const series = new Series();
  const total = 1_000_000;
  const getLoss = (i: number) => 2 + Math.sin(i / 1e5) + (i % 100_003 === 50_000 ? 10 : 0);
  for (let begin = 0; begin < total; begin += 1000)
    series.append(Array.from({ length: 1000 }, (_, i) => createRow(begin + i, getLoss(begin + i))));
  const { step, loss } = series.steps;
  assert.ok(step.length <= 2 ** 17 && step.values.length <= 2 ** 17, String(step.length));
  assert.ok(step.length > 2 ** 15);
  assert.is(series.stepCount, total);
  assert.equal([step.values[0], step.last()], [0, total - 1]);
  const steps = toArray(step);
  assert.ok(steps.every((value, i) => i === 0 || value > steps[i - 1]));
  assert.ok(steps.every((value, i) => loss.values[i] === getLoss(value)));
  const gaps = steps.map((value, i) => value - (steps[i - 1] ?? 0));
  assert.ok(Math.max(...gaps) < 100, "the resolution is the same everywhere");
  const peaks = [...Array(10).keys()].map((i) => 50_000 + i * 100_003).filter((i) => i < total);
  assert.equal(
    steps.filter((value) => getLoss(value) > 10),
    peaks,
  );
  // the smoothed loss is that of all rows, apart from the choice of rows
  const flat = new Series();
  for (let i = 0; i < total; i++) flat.append([createRow(i, 3)]);
  assert.ok(Math.abs(flat.smooth(0.999).last() - 3) < 1e-9);
  series.append([createRow(total / 2, 1)]); // resumed from an earlier step
  assert.ok(Math.abs(series.stepCount - total / 2) < 100, String(series.stepCount));
  assert.is(series.smooth(0.9).length, step.length);
});

test("thinned rows count in the smoothed loss as often as the rows that they stand for", () => {
  const series = new Series();
  const change = 2 ** 17 - 500; // the loss changes 500 rows before the rows are thinned
  for (let i = 0; i < 2 ** 17; i++) series.append([createRow(i, i < change ? 1 : 2)]);
  const before = series.smooth(0.999).last();
  series.append([createRow(2 ** 17, 2)]);
  assert.ok(series.steps.step.length < 2 ** 17);
  const expected = 0.999 * before + 0.001 * 2;
  assert.ok(Math.abs(series.smooth(0.999).last() - expected) < 0.01, `${before}`);
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
  // f64 can represent the ticks of the range
  for (const value of [1e15, -1e15, 1e30]) {
    const [low, high] = yRange(value, value * (1 + 2 ** -52), false, false);
    assert.ok(low + (high - low) / 100 > low, `${low} to ${high}`);
  }
  assert.ok(logTicks(1e-30, 1e30).length < 200);
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
