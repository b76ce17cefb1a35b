import { suite } from "uvu";
import * as assert from "uvu/assert";
import { lesson, restore, round, roundTrip } from "#lessons/16-quantization.js";
import { assertClose } from "../support/support.ts";
import { text, told } from "./told.ts";

const test = suite("lesson 16");

test("the nearest whole number of scales, with one scale for each group", () => {
  const { q, scale } = round([0.7, -1.4, 0.29, 0.31, 0], 4);
  assertClose([scale], [0.2]);
  assert.equal(q, [4, -7, 1, 2, 0]); // 0.7 / 0.2 = 3.5 goes up
  assertClose(restore({ q: [3, -7], scale: 0.5 }), [1.5, -3.5]);
  assert.equal(round([0, 0], 4), { q: [0, 0], scale: 1 });
  assertClose(roundTrip([[10, 4, 0.1, 0.06]], 2).flat(), [10, 0, 0, 0]);
  assertClose(roundTrip([[10, 4, 0.1, 0.06]], 2, 2).flat(), [10, 0, 0.1, 0.1]);
});

const corpus = await text("lesson 16");
if (corpus)
  test("each bit halves the error; 8 bits cost nothing, 2 bits much; the library agrees", async () => {
    const { errors, shared, loss, losses, apart, unpacked, first, library } = await told(lesson);
    for (let i = 2; i < errors.length; i++) {
      const ratio = errors[i - 1][1] / errors[i][1];
      assert.ok(ratio > 1.9 && ratio < 2.5, `${errors[i][0]} bits: ${ratio}`);
    }
    const [matrix, row, few] = shared;
    assert.ok(matrix.other > 0.9 && row.other < 0.2 && few.other < row.other, "one large weight");
    assert.ok(matrix.one > row.one && row.one > few.one, "without it");

    const costs = new Map(losses.map(([bits, x]) => [bits, x - loss]));
    assert.ok(Math.abs(costs.get(8) ?? NaN) < 0.005, `8 bits: ${costs.get(8)}`);
    assert.ok((costs.get(2) ?? NaN) > 0.1, `2 bits: ${costs.get(2)}`);

    assert.ok(apart < 1e-6, `${apart} apart`);
    assert.equal(unpacked, first);
    const [whole, bytes, halves] = library;
    assert.equal(
      [whole, bytes, halves].map((each) => each.isQuantized),
      [false, true, true],
    );
    assert.is(whole.loss, loss);
    assert.ok(Math.abs(bytes.loss - loss) < 0.005, `8 bits: ${bytes.loss}, was ${loss}`);
    assert.ok(Math.abs(halves.loss - loss) < 0.05, `4 bits: ${halves.loss}, was ${loss}`);
    assert.ok(bytes.bytes < whole.bytes / 3 && halves.bytes < whole.bytes / 4.5, "bytes");
  });

test.run();
