import { suite } from "uvu";
import * as assert from "uvu/assert";
import { lesson, NGrams } from "#lessons/00-language-models.js";
import { solution } from "#lessons/solutions/00-language-models.js";
import { assertClose } from "../support/harness.ts";
import { loadText, runLesson } from "./run-lesson.ts";

const test = suite("lesson 0");

test("probabilities mix the counts of a context with those of shorter ones, and sum to 1", () => {
  const ngrams = new NGrams("abab", 2, ["a", "b", "c"], 1);
  const p0 = { a: (2 + 1 / 3) / 5, b: (2 + 1 / 3) / 5, c: 1 / 3 / 5 };
  assertClose([ngrams.probability("", "a")], [p0.a]);
  assertClose([ngrams.probability("a", "b")], [(2 + p0.b) / 3]); // after both a comes b
  assertClose([ngrams.probability("c", "a")], [p0.a]); // c has never been seen
  const sum = ["a", "b", "c"].reduce((total, c) => total + ngrams.probability("a", c), 0);
  assertClose([sum], [1]);
  assertClose([ngrams.loss("ab", 2)], [-Math.log((2 + p0.b) / 3)]);
});

if (await loadText("lesson 0")) {
  test("longer n-grams help until they memorize; networks beat short n-grams", async () => {
    const { splits, lossesByOrder, best, samples, lstm, gpt } = await runLesson(lesson);
    assert.is(splits.characters.length, 13);
    assert.equal(splits.words, ["I", "love", "to", "eat"]);
    assert.is(splits.subwords.join(""), "I love to eat");
    assert.ok(splits.subwords.length > 4 && splits.subwords.length < 13, `${splits.subwords}`);
    for (let i = 1; i < lossesByOrder.length; i++)
      assert.ok(lossesByOrder[i].train < lossesByOrder[i - 1].train - 0.05, `order ${i + 1}`);
    assert.ok(best.order >= 4 && best.order <= 6, `best order ${best.order}`);
    assert.ok(best.val > best.train + 0.1, "the best table has memorized a part");
    for (const sample of samples) assert.is(sample.length, 60);
    for (const loss of [lstm, gpt]) {
      assert.ok(loss < lossesByOrder[1].val - 0.1, `network ${loss}`);
      assert.ok(loss > best.val, `network ${loss}, best table ${best.val}`);
    }
  });

  test("solutions: the best n grows with the strength, and most word trigrams are new", async () => {
    const { bestByStrength, newParts } = await runLesson(solution);
    const orders = bestByStrength.map(({ n }) => n);
    assert.ok(orders[0] < orders[1] && orders[1] <= orders[2], `${orders}`);
    assert.ok(bestByStrength[1].loss < bestByStrength[0].loss - 0.05);
    assert.ok(newParts[0] < 0.15 && newParts[2] > 0.7 && newParts[1] < newParts[2], `${newParts}`);
  });
}

test.run();
