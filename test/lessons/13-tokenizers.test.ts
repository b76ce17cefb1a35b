import { suite } from "uvu";
import * as assert from "uvu/assert";
import { encode, learnMerges, lesson } from "#lessons/13-tokenizers.js";
import { loadText, runLesson } from "./run-lesson.ts";

const test = suite("lesson 13");

test("merges the most frequent pair, of equal ones the oldest, and only within words", () => {
  const merges = learnMerges("aaab aaab bc", 3);
  assert.equal(
    merges.map(({ left, right, count }) => [left, right, count]),
    [
      ["a", "a", 4],
      ["a", "b", 2], // as frequent as (aa, a), and its left token is older
      ["aa", "ab", 2],
    ],
  );
  assert.equal(encode("aaab bc aaaa", merges), ["aaab", " ", "b", "c", " ", "aa", "aa"]);
});

const corpus = await loadText("lesson 13");
if (corpus)
  test("the library learns the same merges, which shorten texts and split numbers oddly", async () => {
    const { hello, charError, unknown, ...results } = await runLesson(lesson);
    assert.equal(hello, [72, 101, 108, 108, 111]);
    assert.match(charError, /encode: character "ï" \(U\+00EF\) at position 2/);
    assert.ok(unknown > 0.03 && unknown < 0.3, `${unknown} of the words are unknown`);
    const { merges, equalMerges, isSame, trainCurve, valCurve, spellings, numbers } = results;
    assert.is(merges.length, 512);
    assert.is(equalMerges, 512);
    assert.ok(isSame);
    for (const curve of [trainCurve, valCurve]) {
      assert.is(curve[0][1], 1);
      for (let i = 1; i < curve.length; i++) assert.ok(curve[i][1] > curve[i - 1][1] + 0.05);
    }
    const [train, val] = [trainCurve, valCurve].map((curve) => curve.at(-1)?.[1] ?? 0);
    assert.ok(train > 2 && train < 3 && val > 1.8 && val < train, `${train}, ${val}`);
    assert.is(spellings[1], "␣the");
    assert.equal(numbers, ["␣2019", "␣20|9|1", "␣|1|0|6|6", "␣2019|0"]);
  });

test.run();
