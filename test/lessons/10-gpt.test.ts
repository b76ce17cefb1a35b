import { suite } from "uvu";
import * as assert from "uvu/assert";
import { lesson } from "#lessons/10-gpt.js";
import { text, told } from "./told.ts";

const test = suite("lesson 10");

if (await text("lesson 10"))
  test("the lessons' model and the library's are one: logits, loss and gradients; it learns", async () => {
    const { vocabSize, parameters, losses, logits, gradient, ...trained } = await told(lesson);
    assert.is(parameters - (2 * 64 + 1) * vocabSize, 209_729 - (2 * 64 + 1) * 65);
    assert.ok(Math.abs(losses[0] - losses[1]) < 1e-5, `losses ${losses}`);
    assert.ok(logits < 1e-5, `logits ${logits} apart`);
    assert.ok(gradient < 1e-4, `gradients ${gradient} apart`);
    const { before, loss, steps, sample, output } = trained;
    assert.ok(loss < before - 0.5, `${before} before, ${loss} after ${steps} steps`);
    if (steps > 40) {
      assert.ok(loss < 2.05, `below lesson 9's: ${loss}`);
      assert.match(output, /10 {2}the whole model/);
    }
    assert.ok(sample.length >= 60);
  });
else test.skip("the whole model");

test.run();
