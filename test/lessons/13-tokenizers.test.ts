import { suite } from "uvu";
import * as assert from "uvu/assert";
import { encode, learn, lesson } from "#lessons/13-tokenizers.js";
import { text, told } from "./told.ts";

const test = suite("lesson 13");

test("the commonest pair joins, of equal ones the older, and only inside of words", () => {
  const merges = learn("aaab aaab bc", 3);
  assert.equal(
    merges.map(({ left, right, count }) => [left, right, count]),
    [
      ["a", "a", 4],
      ["a", "b", 2], // as common as (aa, a), and its left token is older
      ["aa", "ab", 2],
    ],
  );
  assert.equal(encode("aaab bc aaaa", merges), ["aaab", " ", "b", "c", " ", "aa", "aa"]);
});

const corpus = await text("lesson 13");
if (corpus)
  test("the library learns the same merges; they shorten texts, and cut numbers oddly", async () => {
    const { hello, refused, unknown, ...rest } = await told(lesson);
    assert.equal(hello, [72, 101, 108, 108, 111]);
    assert.match(refused, /encode: character "ï" \(U\+00EF\) at position 2/);
    assert.ok(unknown > 0.03 && unknown < 0.3, `${unknown} of the words unknown`);
    const { merges, equal, isSame, seen, unseen, spaces, figures } = rest;
    assert.is(merges.length, 512);
    assert.is(equal, 512);
    assert.ok(isSame);
    for (const curve of [seen, unseen]) {
      assert.is(curve[0][1], 1);
      for (let i = 1; i < curve.length; i++) assert.ok(curve[i][1] > curve[i - 1][1] + 0.05);
    }
    const [most, later] = [seen, unseen].map((curve) => curve.at(-1)?.[1] ?? 0);
    assert.ok(most > 2 && most < 3 && later > 1.8 && later < most, `${most}, ${later}`);
    assert.is(spaces[1], "␣the");
    assert.equal(figures, ["␣2019", "␣20|9|1", "␣|1|0|6|6", "␣2019|0"]);
  });

test.run();
