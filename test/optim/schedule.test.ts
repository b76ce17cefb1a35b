// The learning-rate schedules, from warmup to decay.

import { optim } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { assertClose } from "../support/harness.js";

const test = suite("optim/schedule");
const { cosineSchedule, linearSchedule, warmupStableDecaySchedule } = optim;

test("linearSchedule: warmup, linear decay, then constant", () => {
  const rate = linearSchedule({ lr: 1, minLr: 0.1, warmupIters: 9, decayIters: 109 });
  assertClose(
    [0, 4, 9, 34, 59, 84, 109, 500].map(rate),
    [0.1, 0.5, 1, 0.775, 0.55, 0.325, 0.1, 0.1],
  );
  assert.is(linearSchedule({ lr: 2, decayIters: Infinity })(10 ** 6), 2);
  assert.is(linearSchedule({ lr: 2, decayIters: 100 })(50), 1);
  assert.is(linearSchedule({ lr: 2, minLr: 0.5, decayIters: 0 })(0), 0.5);
});

test("warmupStableDecaySchedule: warmup, constant, linear decay, then constant", () => {
  const options = { lr: 1, minLr: 0.2, warmupIters: 3, decayIters: 100, decayShare: 0.25 };
  const rate = warmupStableDecaySchedule(options);
  assertClose(
    [0, 1, 2, 3, 50, 75, 80, 99, 100, 101].map(rate),
    [0.25, 0.5, 0.75, 1, 1, 1, 0.84, 0.232, 0.2, 0.2],
  );
  assertClose([60, 80].map(warmupStableDecaySchedule({ lr: 1, decayIters: 100 })), [1, 0.5]);
  assert.is(warmupStableDecaySchedule({ lr: 2, decayIters: Infinity })(10 ** 6), 2);
});

test("decayShare 1 is a linear schedule, 0 a constant rate until the end", () => {
  const options = { lr: 0.3, minLr: 0.1, warmupIters: 5, decayIters: 40 };
  const steps = Array.from({ length: 50 }, (_, i) => i);
  const linear = warmupStableDecaySchedule({ ...options, decayShare: 1 });
  assert.equal(steps.map(linear), steps.map(linearSchedule(options)));
  const constant = warmupStableDecaySchedule({ ...options, decayShare: 0 });
  assert.equal([5, 39, 40].map(constant), [0.3, 0.3, 0.1]);
});

test("all of them have the same warmup, also if it is longer than the decay", () => {
  for (const decayIters of [4, 8, 20]) {
    const options = { lr: 1, warmupIters: 8, decayIters };
    const steps = [0, 3, 7, 8];
    const expected = steps.map(cosineSchedule(options));
    assert.equal(steps.map(linearSchedule(options)), expected);
    assert.equal(steps.map(warmupStableDecaySchedule(options)), expected);
  }
});

test("invalid options are errors", () => {
  const wsd = (options: object) => () => warmupStableDecaySchedule(options as never);
  const linear = (options: object) => () => linearSchedule(options as never);
  assert.throws(linear({ lr: 1 }), /linearSchedule: decayIters is undefined/);
  assert.throws(linear({ lr: 1, decayIters: 2, minLr: -1 }), /linearSchedule: minLr is -1/);
  assert.throws(linear({ lr: 1, decayIters: 2, decayShare: 1 }), /unknown option decayShare/);
  assert.throws(
    wsd({ lr: 1, decayIters: 2, decayShare: 1.5 }),
    /decayShare is 1.5, expected .* 0 to 1/,
  );
  assert.throws(wsd({ lr: 1, decayIters: 2, decayShare: "x" }), /decayShare is x/);
  assert.throws(wsd(undefined as never), /warmupStableDecaySchedule: options are undefined/);
});

test.run();
