import { suite } from "uvu";
import * as assert from "uvu/assert";
import { dequantizeGroup, lesson, quantizeGroup, roundTrip } from "#lessons/16-quantization.js";
import { assertClose } from "../support/harness.ts";
import { loadText, runLesson } from "./run-lesson.ts";

const test = suite("lesson 16");

test("rounds to the nearest multiple of the scale, with one scale for each group", () => {
  const { q, scale } = quantizeGroup([0.7, -1.4, 0.29, 0.31, 0], 4);
  assertClose([scale], [0.2]);
  assert.equal(q, [4, -7, 1, 2, 0]); // 0.7 / 0.2 = 3.5 rounds up
  assertClose(dequantizeGroup({ q: [3, -7], scale: 0.5 }), [1.5, -3.5]);
  assert.equal(quantizeGroup([0, 0], 4), { q: [0, 0], scale: 1 });
  assertClose(roundTrip([[10, 4, 0.1, 0.06]], 2).flat(), [10, 0, 0, 0]);
  assertClose(roundTrip([[10, 4, 0.1, 0.06]], 2, 2).flat(), [10, 0, 0.1, 0.1]);
});

const corpus = await loadText("lesson 16");
if (corpus)
  test("each bit halves the error; 8 bits are free, 2 bits are not; the library agrees", async () => {
    const { errors, byGrouping, loss, losses, difference, ...results } = await runLesson(lesson);
    for (let i = 2; i < errors.length; i++) {
      const ratio = errors[i - 1][1] / errors[i][1];
      assert.ok(ratio > 1.9 && ratio < 2.5, `${errors[i][0]} bits: ${ratio}`);
    }
    const [matrix, row, group] = byGrouping;
    assert.ok(
      matrix.outlierError > 0.9 && row.outlierError < 0.2 && group.outlierError < row.outlierError,
      "with an outlier",
    );
    assert.ok(matrix.error > row.error && row.error > group.error, "without an outlier");

    const increases = new Map(losses.map(([bits, roundedLoss]) => [bits, roundedLoss - loss]));
    assert.ok(Math.abs(increases.get(8) ?? NaN) < 0.005, `8 bits: ${increases.get(8)}`);
    assert.ok((increases.get(2) ?? NaN) > 0.1, `2 bits: ${increases.get(2)}`);

    const { unpacked, firstIntegers, library } = results;
    assert.ok(difference < 1e-6, `difference ${difference}`);
    assert.equal(unpacked, firstIntegers);
    const [f32, int8, int4] = library;
    assert.equal(
      library.map(({ isQuantized }) => isQuantized),
      [false, true, true],
    );
    assert.is(f32.loss, loss);
    assert.ok(Math.abs(int8.loss - loss) < 0.005, `8 bits: ${int8.loss}, f32 ${loss}`);
    assert.ok(Math.abs(int4.loss - loss) < 0.05, `4 bits: ${int4.loss}, f32 ${loss}`);
    assert.ok(int8.bytes < f32.bytes / 3 && int4.bytes < f32.bytes / 4.5, "bytes");
  });

test.run();
