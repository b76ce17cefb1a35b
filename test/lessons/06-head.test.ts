import { suite } from "uvu";
import * as assert from "uvu/assert";
import { lesson } from "#lessons/06-head.js";
import { expectLoss } from "./losses.ts";
import { text, told } from "./told.ts";

const test = suite("lesson 6");

if (await text("lesson 6"))
  test("a head's scores keep variance 1, hear no other text, and prefer some kinds", async () => {
    const { variances, largest, leak, before, loss, map, output } = await told(lesson);
    assert.ok(Math.abs(variances[0] - 32) < 4, `variance ${variances[0]}`);
    assert.ok(Math.abs(variances[1] - 1) < 0.13, `variance ${variances[1]}`);
    assert.ok(largest[0] > 0.5 && largest[1] < 0.2, `greatest weights ${largest}`);
    assert.is(leak, 0);
    assert.ok(before > loss + 1.5, `${before} before, ${loss} after`);
    await expectLoss("one head", loss);
    for (const row of map) {
      assert.ok(Math.max(...row) > 1.1, `a kind that gets more than its share: ${row}`);
      assert.ok(Math.min(...row) < 0.9, `a kind that gets less: ${row}`);
    }
    assert.match(output, / 6 {2}one head/);
  });
else test.skip("one head");

test.run();
