import { suite } from "uvu";
import * as assert from "uvu/assert";
import { dot, lesson, rotate, sinusoids } from "#lessons/12-positions.js";
import { assertClose } from "../support/harness.ts";
import { loadText, runLesson } from "./run-lesson.ts";

const test = suite("lesson 12");

test("sinusoids and rotations match their formulas", () => {
  const row = [Math.sin(2), Math.cos(2), Math.sin(0.02), Math.cos(0.02)];
  assertClose(sinusoids(3, 4)[2], row, { atol: 1e-12 });
  assert.equal(sinusoids(1, 4), [[0, 1, 0, 1]]);
  // the pairs (1, 0) and (0, 2), rotated by 2 and by 0.02
  const rotated = [Math.cos(2), -2 * Math.sin(0.02), Math.sin(2), 2 * Math.cos(0.02)];
  assertClose(rotate([1, 0, 0, 2], 2), rotated, { atol: 1e-12 });
  assert.equal(dot([1, 2], [3, 4]), 11);
});

const corpus = await loadText("lesson 12");
if (corpus)
  test("order is invisible without positions; rotary scores depend on distance; rotary learns faster", async () => {
    const { unmasked, oneCausal, twoCausal, scores, losses, ...errors } = await runLesson(lesson);
    assert.ok(unmasked.all < 1e-5, `without a mask: ${unmasked.all}`);
    assert.ok(oneCausal.last < 1e-5, `one block: ${oneCausal.last}`);
    assert.ok(
      oneCausal.all > 1e-2 && twoCausal.last > 1e-2,
      `the mask reveals order: ${oneCausal.all}, ${twoCausal.last}`,
    );
    const [first, shifted, far, other] = scores;
    assertClose([shifted, far], [first, first], { rtol: 1e-6 });
    assert.ok(Math.abs(other - first) > 0.1, "another distance has another score");
    const { tableError, tableScoreError, rotaryError } = errors;
    for (const error of [tableError, tableScoreError, rotaryError])
      assert.ok(error < 1e-5, `difference ${error}`);
    assert.ok(losses.rotary < losses.none - 0.05, `rotary ${losses.rotary}, none ${losses.none}`);
    for (const [positions, loss] of Object.entries(losses))
      assert.ok(loss > 1.8 && loss < 2.6, `${positions}: ${loss}`);
  });

test.run();
