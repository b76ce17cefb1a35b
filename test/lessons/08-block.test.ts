import { suite } from "uvu";
import * as assert from "uvu/assert";
import { lesson } from "#lessons/08-block.js";
import { assertLoss } from "./expected-losses.ts";
import { loadText, runLesson } from "./run-lesson.ts";

const test = suite("lesson 8");

if (await loadText("lesson 8"))
  test("attention influences later tokens only; one block learns, three do not", async () => {
    const { influence, loss, deepLoss, output } = await runLesson(lesson);
    const [attention, feedForward] = influence.map((row) => row.map((change) => change > 0));
    assert.equal(attention, [false, false, false, true, true, true, true, true]);
    assert.equal(feedForward, [false, false, false, true, false, false, false, false]);
    await assertLoss("+ feed-forward", loss);
    assert.ok(deepLoss > loss + 0.3, `three blocks ${deepLoss}, one ${loss}`);
    assert.match(output, / 8 {2}\+ feed-forward/);
  });
else test.skip("a block");

test.run();
