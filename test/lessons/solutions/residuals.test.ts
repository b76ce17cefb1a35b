// The solutions to lesson 9: the claims of the exercises hold.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import * as solution9 from "#lessons/solutions/09-residuals.js";
import { loadText, runLesson } from "../run-lesson.ts";

const test = suite("solutions 9");

if (await loadText("solutions")) {
  test("9: norms come first in deep stacks, steps beat blocks, and memorizing hurts", async () => {
    const { byPlacement, byCount, points, best } = await runLesson(solution9.solution);
    const [before, after] = byPlacement;
    assert.ok(after.one < before.one + 0.15, `one block: ${before.one} and ${after.one}`);
    assert.ok(after.six > before.six + 0.1, `six blocks: ${before.six} and ${after.six}`);
    assert.ok(byCount[2] < byCount[0] - 0.02, `four blocks ${byCount[2]}, one ${byCount[0]}`);
    assert.ok(byCount[3] < byCount[2] - 0.05, `more steps ${byCount[3]}, blocks ${byCount[2]}`);
    assert.ok(best.step <= 300, `best step ${best.step}`);
    const last = points[points.length - 1];
    assert.ok(last.valLoss > best.valLoss + 0.5, `${best.valLoss} rises to ${last.valLoss}`);
    assert.ok(last.trainLoss < points[0].trainLoss - 0.5, "the training loss falls");
  });
}

test.run();
