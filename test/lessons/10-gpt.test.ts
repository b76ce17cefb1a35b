import { suite } from "uvu";
import * as assert from "uvu/assert";
import { lesson } from "#lessons/10-gpt.js";
import { loadText, runLesson } from "./run-lesson.ts";

const test = suite("lesson 10");

if (await loadText("lesson 10"))
  test("our model and the library's have equal logits, loss and gradients; it learns", async () => {
    const { vocabSize, parameters, losses, logitDifference, gradientDifference, ...training } =
      await runLesson(lesson);
    assert.is(parameters - (2 * 64 + 1) * vocabSize, 209_729 - (2 * 64 + 1) * 65);
    assert.ok(Math.abs(losses[0] - losses[1]) < 1e-5, `losses ${losses}`);
    assert.ok(logitDifference < 1e-5, `logits differ by ${logitDifference}`);
    assert.ok(gradientDifference < 1e-4, `gradients differ by ${gradientDifference}`);
    const { initialLoss, loss, steps, sample, output } = training;
    assert.ok(loss < initialLoss - 0.5, `${initialLoss} before, ${loss} after ${steps} steps`);
    if (steps > 40) {
      assert.ok(loss < 2.05, `below the loss of lesson 9: ${loss}`);
      assert.match(output, /10 {2}the whole model/);
    }
    assert.ok(sample.length >= 60);
  });
else test.skip("the whole model");

test.run();
