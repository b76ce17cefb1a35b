import { suite } from "uvu";
import * as assert from "uvu/assert";
import { lesson } from "#lessons/06-head.js";
import { assertLoss } from "./expected-losses.ts";
import { loadText, runLesson } from "./run-lesson.ts";

const test = suite("lesson 6");

if (await loadText("lesson 6"))
  test("scores have variance 1, batch rows are independent, a head has preferences", async () => {
    const { variances, largestWeights, leak, initialLoss, loss, ratios, output } =
      await runLesson(lesson);
    assert.ok(Math.abs(variances[0] - 32) < 4, `variance ${variances[0]}`);
    assert.ok(Math.abs(variances[1] - 1) < 0.13, `variance ${variances[1]}`);
    assert.ok(
      largestWeights[0] > 0.5 && largestWeights[1] < 0.2,
      `largest weights ${largestWeights}`,
    );
    assert.is(leak, 0);
    assert.ok(initialLoss > loss + 1.5, `${initialLoss} before training, ${loss} after`);
    await assertLoss("one head", loss);
    for (const row of ratios) {
      assert.ok(Math.max(...row) > 1.1, `a kind above the uniform average: ${row}`);
      assert.ok(Math.min(...row) < 0.9, `a kind below the uniform average: ${row}`);
    }
    assert.match(output, / 6 {2}one head/);
  });
else test.skip("one head");

test.run();
