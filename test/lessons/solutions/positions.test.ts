// The solutions to lessons 10 to 12: the claims of the exercises hold.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import * as solution10 from "#lessons/solutions/10-gpt.js";
import * as solution11 from "#lessons/solutions/11-encoder.js";
import * as solution12 from "#lessons/solutions/12-positions.js";
import { loadText, runLesson } from "../run-lesson.ts";

const test = suite("solutions 10 to 12");

test("11: the conjunction takes more steps to learn; without positions, order is lost", async () => {
  const { bySteps, withPositions, without } = await runLesson(solution11.solution);
  assert.ok(bySteps[0] < 0.9, `150 steps: ${bySteps[0]}`);
  assert.ok(bySteps[2] > 0.95, `600 steps: ${bySteps[2]}`);
  assert.ok(withPositions > 0.95, `with positions ${withPositions}`);
  assert.ok(Math.abs(without - 0.5) < 0.1, `without positions ${without}`);
});

if (await loadText("solutions")) {
  test("10: context helps, and two equal models diverge slowly", async () => {
    const { byContext, differences, isSlow } = await runLesson(solution10.solution);
    if (!isSlow)
      assert.ok(
        byContext[1] < byContext[0] - 0.02,
        `16 tokens ${byContext[0]}, 32 ${byContext[1]}`,
      );
    assert.ok(differences[0] < 1e-5, `first step ${differences[0]}`);
    assert.ok(Math.max(...differences) < 0.05, `at most ${Math.max(...differences)}`);
  });

  test("12: one block needs positions, a learned table has neighbors and an end", async () => {
    const { losses, similarity, longer } = await runLesson(solution12.solution);
    const [none, , , rotary] = losses[0];
    assert.ok(rotary < none - 0.1, `one block: none ${none}, rotary ${rotary}`);
    assert.ok(rotary < losses[1][0] - 0.05, `two blocks without ${losses[1][0]}`);
    const [before, after] = similarity;
    assert.ok(Math.abs(before[0]) < 0.2, `before ${before}`);
    assert.ok(after[0] > 0.6 && after[0] > after[1] + 0.1, `after ${after}`);
    assert.is(longer[2], null);
    for (const i of [0, 1, 3]) assert.ok(Number(longer[i]?.long) < 2.8, `longer ${i}`);
    const rise = (i: number) => Number(longer[i]?.long) - Number(longer[i]?.short);
    assert.ok(rise(3) > rise(0) + 0.05, `rotary rises by ${rise(3)}, none by ${rise(0)}`);
  });
}

test.run();
