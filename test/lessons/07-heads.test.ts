import { suite } from "uvu";
import * as assert from "uvu/assert";
import { lesson } from "#lessons/07-heads.js";
import { expectLoss } from "./losses.ts";
import { text, told } from "./told.ts";

const test = suite("lesson 7");

if (await text("lesson 7"))
  test("four small heads weigh what one does, look at different places, and are all used", async () => {
    const { one, four, loss, shares, worth, output } = await told(lesson);
    assert.is(one, 3 * 32 * 32);
    assert.is(four, one);
    await expectLoss("heads", loss);
    for (const row of shares) assert.ok(row.reduce((sum, share) => sum + share) < 1 + 1e-5);
    const farthest = Math.max(
      ...shares[0].map((_, back) => spread(shares.map((row) => row[back]))),
    );
    assert.ok(farthest > 0.1, `the heads' shares differ by at most ${farthest}`);
    for (const more of worth) assert.ok(more > 0.02, `without a head only ${more} is lost`);
    assert.match(output, / 7 {2}heads/);
  });
else test.skip("heads");

function spread(values: readonly number[]): number {
  return Math.max(...values) - Math.min(...values);
}

test.run();
