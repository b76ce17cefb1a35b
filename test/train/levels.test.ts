// The length of a run and of its schedule: which options replace which, and the steps of a plan.

import type { TrainConfig } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { resolveConfig } from "#src/train/config.js";
import { override } from "#src/train/levels.js";
import { makeSchedule } from "#src/train/schedule.js";
import { StepPlan } from "#src/train/step-plan.js";
import { TimeBudget } from "#src/train/time-budget.js";
import { assertClose } from "../support/harness.js";

const test = suite("train/levels");
const resolve = (values: Partial<TrainConfig>) => resolveConfig("test", values);

test("maxIters and maxSeconds replace each other on a higher level; together both count", () => {
  const timed = resolve({ preset: "laptop", maxSeconds: 60 });
  assert.equal([timed.maxIters, timed.maxSeconds], [Infinity, 60]);
  const both = resolve({ preset: "laptop", maxSeconds: 60, maxIters: 9 });
  assert.equal([both.maxIters, both.maxSeconds], [9, 60]);
  assert.equal(override<Partial<TrainConfig>>({ maxSeconds: 60 }, { maxIters: 5 }), {
    maxIters: 5,
  });
  assert.equal(override<Partial<TrainConfig>>({ maxIters: 5 }, { maxSeconds: 60 }), {
    maxSeconds: 60,
  });
  assert.equal(override<Partial<TrainConfig>>({ warmupIters: 5 }, { warmupShare: 0.1 }), {
    warmupShare: 0.1,
  });
  assert.equal(override<Partial<TrainConfig>>({ warmupShare: 0.1 }, { warmupIters: 0 }), {
    warmupIters: 0,
  });
});

test("a schedule that is named ends with the run; without a name nothing changes", () => {
  const linear = resolve({ schedule: "linear", maxIters: 50 });
  assert.is(linear.lrDecayIters, 50);
  assert.is(resolve({ maxIters: 50 }).lrDecayIters, 0);
  assert.is(resolve({ maxIters: 50 }).schedule, undefined);
  assert.is(resolve({ schedule: "wsd", maxIters: 50, lrDecayIters: 40 }).lrDecayIters, 40);
  const timed = resolve({ preset: "nanogpt-cpu", maxSeconds: 60 }); // decays by a cosine
  assert.equal([timed.schedule, timed.lrDecayIters], ["cosine", 0]);
  assert.is(resolve({ preset: "lecture-0.2m", maxSeconds: 60 }).schedule, undefined);
  const share = resolve({ schedule: "linear", maxIters: 50, warmupShare: 0.1 });
  assert.equal([share.warmupIters, share.warmupShare], [5, undefined]);
  // what is recorded resolves to itself
  for (const config of [linear, share, resolve({ preset: "nanogpt-cpu" })])
    assert.equal(resolve(config), config);
});

test("rates: constant, cosine, linear, wsd", () => {
  const rates = (values: Partial<TrainConfig>) => {
    const config = resolve({ learningRate: 1, maxIters: 4, ...values });
    return [0, 1, 2, 3, 4].map(makeSchedule(config, null));
  };
  assert.equal(rates({}), [1, 1, 1, 1, 1]);
  assertClose(rates({ lrDecayIters: 2 }), [1, 0.5, 0, 0, 0]);
  assertClose(rates({ schedule: "cosine", minLr: 0.5 }).slice(2), [
    0.75,
    0.5 + 0.25 * (1 - Math.SQRT1_2),
    0.5,
  ]);
  assertClose(rates({ schedule: "linear", minLr: 0.2 }), [1, 0.8, 0.6, 0.4, 0.2]);
  assertClose(rates({ schedule: "wsd", decayShare: 0.5 }), [1, 1, 1, 0.5, 0]);
  assertClose(rates({ schedule: "linear", warmupIters: 1 }), [0.5, 1, 2 / 3, 1 / 3, 0]);
});

test("contradictions are errors", () => {
  const cases: [object, RegExp][] = [
    [{ warmupShare: 0.1, warmupIters: 5 }, /test: warmupShare and warmupIters exclude each other/],
    [
      { maxSeconds: 5, lrDecayIters: 5 },
      /lrDecayIters and maxSeconds exclude each other; the decay/,
    ],
    [{ decayShare: 0.5 }, /decayShare is an option of schedule wsd only/],
    [{ schedule: "wsd", decayShare: 1.1 }, /decayShare is 1.1, expected a number from 0 to 1/],
    [{ schedule: "step" }, /schedule is "step", expected cosine, linear, wsd/],
    [{ maxSeconds: 0 }, /maxSeconds is 0, expected a number above 0/],
    [{ maxSeconds: Infinity }, /maxSeconds is Infinity/],
    [{ emaDecay: 1 }, /emaDecay is 1, expected a number from 0 to 0.9999999/],
    [{ optimizer: "sgd" }, /optimizer is "sgd", expected adamw, muon/],
    [{ headLrScale: 2 }, /headLrScale is 2, but the head shares the weight of the token embedding/],
    [{ vectorLrScale: -1 }, /vectorLrScale is -1/],
    ...["1", "1:2:3", "5:1 4:1", "-1:2", "1:x", " ", "1:2  3:4"].map(
      (estimates): [object, RegExp] => [
        { estimates },
        /test: estimates is ".*", expected STEP:LEFT pairs/,
      ],
    ),
  ];
  for (const [values, message] of cases)
    assert.throws(() => resolve(values), message, JSON.stringify(values));
});

test("a plan: the share rises linearly to 1 at the end that was last estimated", () => {
  const plan = new StepPlan();
  assert.is(plan.total, Infinity);
  assert.is(plan.at(0).share, 0);
  plan.add(1, 10);
  assert.is(plan.total, 11);
  assert.equal(
    [0, 1, 6, 11, 12].map((step) => plan.at(step).share),
    [0, 0, 0.5, 1, 1],
  );
  plan.add(6, 20); // it is slower than it was estimated
  assert.equal(
    [6, 16, 26].map((step) => plan.at(step).share),
    [0.5, 0.75, 1],
  );
  assert.is(plan.at(5).share, 0.4); // as before
  plan.add(16, 0);
  assert.equal(plan.at(16), { share: 1, total: 16 });
  assert.is(String(plan), "1:10 6:20 16:0");
  const copy = new StepPlan(String(plan));
  for (let step = 0; step < 30; step++) assert.equal(copy.at(step), plan.at(step));
});

/** Runs the steps of a budget, whose times a function returns; returns the number of steps. */
function simulate(seconds: number, timeOf: (step: number) => number, steps = Infinity) {
  const plan = new StepPlan();
  const budget = new TimeBudget(plan, { seconds, steps }, { step: 0, seconds: 0 });
  let elapsed = 0;
  let step = 0;
  while (step < plan.total) {
    elapsed += timeOf(step++);
    if (budget.isDue(step, elapsed)) budget.estimate(step, elapsed);
  }
  return { plan, step, elapsed };
}

test("a budget ends within a step of the time, whatever the speed", () => {
  for (const timeOf of [
    () => 0.01,
    (step: number) => (step < 3 ? 0.5 : 0.01), // the first steps are slow
    (step: number) => (step < 300 ? 0.01 : 0.02), // the machine becomes busy
    (step: number) => (step < 300 ? 0.02 : 0.005),
    (step: number) => 0.01 * (1 + (step % 3)),
  ]) {
    const { plan, step, elapsed } = simulate(10, timeOf);
    assert.ok(elapsed <= 10 + timeOf(step) && elapsed > 10 - 3 * timeOf(step), `${elapsed} s`);
    assert.is(plan.total, step);
    assert.is(plan.at(step).share, 1);
    const estimates = String(plan).split(" ").length;
    assert.ok(estimates < 120, `${estimates} estimates`);
  }
});

test("at a constant speed the share is that of the steps and of the time", () => {
  const { plan, step } = simulate(10, () => 0.01);
  assert.ok(step >= 998 && step <= 1000, `${step} steps`);
  for (let i = 0; i <= step; i++)
    assert.ok(Math.abs(plan.at(i).share - i / step) < 0.005, `step ${i}: ${plan.at(i).share}`);
});

test("maxIters limits a budget; a step that is longer than it is the only one", () => {
  assert.is(simulate(10, () => 0.01, 7).step, 7);
  assert.is(simulate(1e300, () => 1e-9, 7).step, 7);
  assert.is(simulate(0.001, () => 5).step, 1);
});

test("with a plan, the rate follows the share; warmup too if it is a share", () => {
  const plan = new StepPlan("0:100");
  const config = resolve({ learningRate: 1, maxSeconds: 1, schedule: "linear", warmupShare: 0.1 });
  const steps = resolve({ learningRate: 1, maxIters: 100, schedule: "linear", warmupShare: 0.1 });
  const expected = makeSchedule(steps, null);
  const rate = makeSchedule(config, plan);
  for (let i = 0; i <= 100; i++) assert.ok(Math.abs(rate(i) - expected(i)) < 1e-12, `step ${i}`);
  const constant = makeSchedule(resolve({ learningRate: 1, maxSeconds: 1 }), plan);
  assert.equal([0, 50, 100].map(constant), [1, 1, 1]);
});

test.run();
