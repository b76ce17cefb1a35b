// The lines about training and evaluations where stdout is not a terminal, with a clock of the test.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { formatDuration, Progress } from "#src/cli/progress.js";
import type { Run } from "#src/runs/run.js";

const test = suite("progress");
const now = performance.now;
const log = console.log;
let seconds = 0;
let lines: string[] = [];
test.before.each(() => {
  seconds = 0;
  lines = [];
  performance.now = () => 1000 * seconds;
  console.log = (line: string) => lines.push(line);
});
test.after.each(() => {
  performance.now = now;
  console.log = log;
});

test("a long evaluation prints a line after 5 s, then every 30 s, with an estimate", () => {
  const progress = new Progress(false);
  for (let done = 1; done <= 100; done++) {
    seconds = 2 * done;
    progress.showEvaluation({ step: 0, done, total: 100 });
  }
  assert.equal(lines.slice(0, 3), [
    "evaluating at step 0: 3/100 batches, 3 min 14 s left",
    "evaluating at step 0: 18/100 batches, 2 min 44 s left",
    "evaluating at step 0: 33/100 batches, 2 min 14 s left",
  ]);
  assert.is(lines.length, 7); // 6, 36, ..., 186 s
});

test("a slow first batch is reported, and a short evaluation is not", () => {
  const slow = new Progress(false);
  seconds = 20;
  slow.showEvaluation({ step: 0, done: 1, total: 400 });
  assert.equal(lines, ["evaluating at step 0: 1/400 batches"]);
  const fast = new Progress(false);
  for (let done = 1; done <= 400; done++) {
    seconds += 0.01;
    fast.showEvaluation({ step: 0, done, total: 400 });
  }
  assert.is(lines.length, 1);
});

test("a row has the total and the remaining time", () => {
  const run = { config: { maxIters: 5000 } } as Run;
  const progress = new Progress(false);
  const row = { loss: 1.5, tokensPerSecond: 30000, elapsedSeconds: 0 };
  progress.printRow({ step: 100, ...row }, run);
  seconds = 60;
  progress.printRow({ step: 200, ...row }, run);
  progress.printRow({ step: 201, elapsedSeconds: 1, valLoss: 1 }, run); // not a training row
  assert.equal(lines, [
    "iter 100/5000: loss 1.5000, 30000 tokens/s",
    "iter 200/5000: loss 1.5000, 30000 tokens/s, 48 min 0 s left",
  ]);
});

test("durations", () => {
  assert.is(formatDuration(59_400), "59 s");
  assert.is(formatDuration(59_600), "1 min 0 s");
  assert.is(formatDuration(7_500_000), "2 h 5 min");
});

test.run();
