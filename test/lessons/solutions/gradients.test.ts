// The solutions to lessons 1 to 6: the claims of the exercises hold.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import * as solution1 from "#lessons/solutions/01-value.js";
import * as solution2 from "#lessons/solutions/02-tensors.js";
import * as solution3 from "#lessons/solutions/03-check.js";
import * as solution4 from "#lessons/solutions/04-bigram.js";
import * as solution5 from "#lessons/solutions/05-averages.js";
import * as solution6 from "#lessons/solutions/06-head.js";
import { assertClose } from "../../support/harness.ts";
import { loadText, runLesson } from "../run-lesson.ts";

const test = suite("solutions 1 to 6");

test("1: gradients that are not set to 0 add up; overwritten ones lose all uses but one", async () => {
  const { normal, accumulating, ...rest } = await runLesson(solution1.solution);
  assert.is(normal.correct, 60);
  assert.equal(accumulating.losses.slice(0, 2), normal.losses.slice(0, 2));
  assert.ok(accumulating.losses[5] > normal.losses[5] + 1, `step 5: ${accumulating.losses[5]}`);
  assert.ok(accumulating.losses[99] > 0.5, `step 99: ${accumulating.losses[99]}`);
  assertClose([rest.gradient], [rest.difference], { rtol: 1e-8 });
  assert.is(rest.overwritten, 1);
  assert.ok(rest.overwriting.losses[99] > 0.3, `overwriting: ${rest.overwriting.losses[99]}`);
});

test("2: ten times the points are ten times the values, and no more tensors", async () => {
  const { counts, losses, correct, line } = await runLesson(solution2.solution);
  assert.equal(
    counts.map(({ values }) => values),
    [40_681, 406_801],
  );
  assert.is(counts[0].tensors, counts[1].tensors);
  assertClose([losses[0]], [0.9124], { rtol: 1e-3 }); // that of lesson 1
  assert.ok(losses[99] < 0.05, `loss ${losses[99]}`);
  assert.is(correct, 60);
  assert.match(line, /kernels\.add\(sum\.floats, increment\.floats/);
});

test("3: x^2 is exact, a wrong tanh trains, and five points have an error of order 4", async () => {
  const { squares, moons, gradient, measured, ratio, best } = await runLesson(solution3.solution);
  assertClose(squares, [6, 6, 6], { rtol: 1e-10 });
  assert.is(moons.correct, 60);
  assertClose([measured], [1 - Math.tanh(0.7) ** 2], { rtol: 1e-8 });
  assertClose([gradient], [1 - Math.tanh(0.7)]);
  assertClose([ratio], [16], { rtol: 0.05 });
  assert.ok(best[1] < best[0] / 10, `smallest errors ${best}`);
});

test("5: masked rows are NaN, and the matrix product equals the loops", async () => {
  const { strong, ignoring, masked, difference } = await runLesson(solution5.solution);
  const e5 = Math.exp(5);
  assertClose(strong, [1 / (e5 + 3), 1 / (e5 + 3), 1 / (e5 + 3), e5 / (e5 + 3)], { rtol: 1e-5 });
  assertClose(ignoring, [1 / 3, 1 / 3, 1 / 3, 0]);
  assert.ok(masked[0].every(Number.isNaN), `first row ${masked[0]}`);
  assertClose(masked[1], [1, 0, 0, 0]);
  assert.ok(difference < 1e-5, `difference ${difference}`);
});

if (await loadText("solutions")) {
  test("4: each token of context helps; the table needs a large learning rate", async () => {
    const { losses, byRate, V } = await runLesson(solution4.solution);
    const [unigrams, bigrams, trigrams] = losses.map(({ val }) => val);
    assert.ok(unigrams < Math.log(V) - 0.8 && unigrams > 3, `unigrams ${unigrams}`);
    assert.ok(bigrams < unigrams - 0.5, `bigrams ${bigrams}`);
    assert.ok(trigrams < bigrams - 0.2, `trigrams ${trigrams}`);
    assert.ok(byRate[0].loss < byRate[1].loss - 0.03 && byRate[1].loss < byRate[2].loss - 0.5);
    assert.ok(byRate[2].largest < 0.55, `largest logit ${byRate[2].largest}`);
  });

  test("4: a table of counts has the loss of its relative frequencies", () => {
    const ids = Int32Array.of(0, 1, 0, 1, 0);
    // counts start at 1: after 0 comes 1 with p = 3 / 4, after 1 comes 0 with p = 3 / 4
    assertClose([solution4.countedLoss(ids, ids, 2, 1)], [-Math.log(3 / 4)]);
    // of no context: 0 with p = 4 / 7, 1 with p = 3 / 7
    const expected = -(3 * Math.log(4 / 7) + 2 * Math.log(3 / 7)) / 5;
    assertClose([solution4.countedLoss(ids, ids, 2, 0)], [expected]);
  });

  test("6: without a mask the head cheats, and without positions order is lost", async () => {
    const { masked, unmasked, multiplied, ...rest } = await runLesson(solution6.solution);
    assert.ok(unmasked < masked - 1, `with the mask ${masked}, without ${unmasked}`);
    assert.ok(rest.without < 1e-5, `without positions ${rest.without}`);
    assert.ok(rest.withPositions > 0.05, `with positions ${rest.withPositions}`);
    assert.ok(multiplied > masked + 0.05, `divided ${masked}, multiplied ${multiplied}`);
  });
}

test.run();
