import { suite } from "uvu";
import * as assert from "uvu/assert";
import { lesson } from "#lessons/08-block.js";
import { expectLoss } from "./losses.ts";
import { text, told } from "./told.ts";

const test = suite("lesson 8");

if (await text("lesson 8"))
  test("attention tells those behind, the network nobody; one block learns, three do not", async () => {
    const { heard, loss, deep, output } = await told(lesson);
    const [attention, network] = heard.map((row) => row.map((change) => change > 0));
    assert.equal(attention, [false, false, false, true, true, true, true, true]);
    assert.equal(network, [false, false, false, true, false, false, false, false]);
    await expectLoss("+ feed-forward", loss);
    assert.ok(deep > loss + 0.3, `three blocks ${deep}, one ${loss}`);
    assert.match(output, / 8 {2}\+ feed-forward/);
  });
else test.skip("a block");

test.run();
