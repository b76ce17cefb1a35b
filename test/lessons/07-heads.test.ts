import { suite } from "uvu";
import * as assert from "uvu/assert";
import { lesson } from "#lessons/07-heads.js";
import { assertLoss } from "./expected-losses.ts";
import { loadText, runLesson } from "./run-lesson.ts";

const test = suite("lesson 7");

if (await loadText("lesson 7"))
  test("four small heads have the weights of one, attend differently and all matter", async () => {
    const { oneHead, fourHeads, loss, meanWeights, ablations, output } = await runLesson(lesson);
    assert.is(oneHead, 3 * 32 * 32);
    assert.is(fourHeads, oneHead);
    await assertLoss("heads", loss);
    for (const row of meanWeights) assert.ok(row.reduce((sum, weight) => sum + weight) < 1 + 1e-5);
    const largestSpread = Math.max(
      ...meanWeights[0].map((_, distance) => spread(meanWeights.map((row) => row[distance]))),
    );
    assert.ok(largestSpread > 0.1, `the weights of the heads differ by at most ${largestSpread}`);
    for (const increase of ablations)
      assert.ok(increase > 0.02, `without a head the loss is only ${increase} higher`);
    assert.match(output, / 7 {2}heads/);
  });
else test.skip("heads");

function spread(values: readonly number[]): number {
  return Math.max(...values) - Math.min(...values);
}

test.run();
