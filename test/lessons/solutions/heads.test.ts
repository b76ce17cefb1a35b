// The solutions to lessons 7 and 8: the claims of the exercises hold.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import * as solution7 from "#lessons/solutions/07-heads.js";
import * as solution8 from "#lessons/solutions/08-block.js";
import { loadText, runLesson } from "../run-lesson.ts";

const test = suite("solutions 7 and 8");

if (await loadText("solutions")) {
  test("7: proj is redundant, narrow heads lose, and two ablations are not their sum", async () => {
    const { byHeads, withProj, withoutProj, ablated } = await runLesson(solution7.solution);
    assert.ok(byHeads[1] < byHeads[0] - 0.02, `4 heads ${byHeads[1]}, 2 heads ${byHeads[0]}`);
    const mean = (losses: number[]) => losses.reduce((sum, loss) => sum + loss) / losses.length;
    const rise = mean(withoutProj) - mean(withProj);
    assert.ok(rise < 0.02, `without proj the loss rises by ${rise}`);
    assert.ok(ablated.both > Math.max(ablated.first, ablated.second), "both heads matter");
    const difference = Math.abs(ablated.both - ablated.first - ablated.second);
    assert.ok(difference > 0.01, `the increases add up to within ${difference}`);
  });

  test("8: relu matters, the feed-forward network is two thirds, gradients vanish", async () => {
    const { withRelu, withoutRelu, counts, gradients } = await runLesson(solution8.solution);
    assert.ok(withoutRelu > withRelu + 0.03, `with relu ${withRelu}, without ${withoutRelu}`);
    assert.equal(counts, [
      { sa: 4 * 32 ** 2 + 32, ffwd: 8 * 32 ** 2 + 5 * 32 },
      { sa: 4 * 64 ** 2 + 64, ffwd: 8 * 64 ** 2 + 5 * 64 },
    ]);
    assert.ok(gradients[0] > 30 * gradients[1], `gradients ${gradients}`);
  });
}

test.run();
