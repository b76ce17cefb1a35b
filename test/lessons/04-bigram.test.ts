import { suite } from "uvu";
import * as assert from "uvu/assert";
import { lesson } from "#lessons/04-bigram.js";
import { assertClose } from "../support/support.ts";
import { expectLoss } from "./losses.ts";
import { text, told } from "./told.ts";

const test = suite("lesson 4");

if (await text("lesson 4"))
  test("a bigram table starts at ln V and reaches the loss of the counted one", async () => {
    const { vocabSize, roundTrip, start, drawn, trained, counted, output } = await told(lesson);
    assert.is(roundTrip, "hii there");
    assertClose([start], [Math.log(vocabSize)], { rtol: 1e-5 });
    const more = drawn - start; // half a nat, and some chance: few rows count for much
    assert.ok(more > 0.3 && more < 0.7, `${more} more than ln V`);
    assert.ok(Math.abs(trained - counted) < 0.04, `trained ${trained}, counted ${counted}`);
    await expectLoss("bigram", trained);
    assert.match(output, /validation losses on .*\n 4 {2}bigram/);
  });
else test.skip("a bigram table");

test.run();
