import { suite } from "uvu";
import * as assert from "uvu/assert";
import { dot, lesson, turn, waves } from "#lessons/12-positions.js";
import { assertClose } from "../support/support.ts";
import { text, told } from "./told.ts";

const test = suite("lesson 12");

test("waves and turns are what the formulas say", () => {
  const row = [Math.sin(2), Math.cos(2), Math.sin(0.02), Math.cos(0.02)];
  assertClose(waves(3, 4)[2], row, { atol: 1e-12 });
  assert.equal(waves(1, 4), [[0, 1, 0, 1]]);
  // pairs (1, 0) and (0, 2), turned by 2 and by 0.02
  const turned = [Math.cos(2), -2 * Math.sin(0.02), Math.sin(2), 2 * Math.cos(0.02)];
  assertClose(turn([1, 0, 0, 2], 2), turned, { atol: 1e-12 });
  assert.equal(dot([1, 2], [3, 4]), 11);
});

const corpus = await text("lesson 12");
if (corpus)
  test("blind to order without positions; a score that knows distance; rotary pays", async () => {
    const { blind, one, two, sameWaves, shifts, sameFade, sameTurn, losses } = await told(lesson);
    assert.ok(blind.all < 1e-5, `no mask: ${blind.all}`);
    assert.ok(one.last < 1e-5, `one block: ${one.last}`);
    assert.ok(one.all > 1e-2 && two.last > 1e-2, `the mask tells: ${one.all}, ${two.last}`);
    const [first, moved, far, other] = shifts;
    assertClose([moved, far], [first, first], { rtol: 1e-6 });
    assert.ok(Math.abs(other - first) > 0.1, "another distance, another score");
    for (const same of [sameWaves, sameFade, sameTurn]) assert.ok(same < 1e-5, `${same} apart`);
    assert.ok(losses.rotary < losses.none - 0.05, `rotary ${losses.rotary}, none ${losses.none}`);
    for (const [positions, loss] of Object.entries(losses))
      assert.ok(loss > 1.8 && loss < 2.6, `${positions}: ${loss}`);
  });

test.run();
