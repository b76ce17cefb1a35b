// Tests of the list of token ids, and of texts and words that are too long for an array.

import { BPETokenizer, CharTokenizer, tokenizerFromJSON, WordTokenizer } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { splitTokens } from "#src/data/batches.js";
import { countWords, matches, TokenList } from "#src/tokenizers/token-list.js";
import { unusualTexts } from "../support/unusual-texts.ts";

const test = suite("tokenizers/token-list");

test("a list returns what was pushed, around the sizes of its chunks", () => {
  for (const n of [0, 1, 255, 256, 257, 768, 769, 2 ** 20 + 5, 2 ** 21 + 7]) {
    const list = new TokenList();
    for (let i = 0; i < n; i++) list.push(i ^ 5);
    assert.is(list.length, n);
    const ids = list.toInt32Array();
    assert.is(ids.length, n);
    assert.ok(ids.every((id, i) => id === (i ^ 5)));
    assert.equal(list.toArray().slice(-3), [...ids.slice(-3)]);
  }
});

test("a list may be longer than an array", () => {
  const n = 2 ** 27 + 1; // an array that grows to this length ends the process
  const list = new TokenList();
  for (let i = 0; i < n; i++) list.push(i);
  assert.is(list.length, n);
  assert.throws(
    () => list.toArray(),
    (error: Error) =>
      error instanceof RangeError &&
      error.message ===
        "encode: the text has 134,217,729 tokens, but an array holds at most 100,000,000; " +
          "use encodeToInt32()",
  );
});

test("encodeToInt32() returns the ids of encode(), and training uses it", () => {
  const tokenizers = [
    CharTokenizer.train(unusualTexts.join("")),
    WordTokenizer.train(unusualTexts.join(" ")),
    BPETokenizer.train(unusualTexts.join(" "), { vocabSize: 300 }),
  ];
  for (const tokenizer of tokenizers) {
    for (const text of unusualTexts)
      assert.equal([...tokenizer.encodeToInt32(text)], tokenizer.encode(text));
    const { train, val } = splitTokens("a b a b a b a b a b", tokenizer);
    assert.equal(tokenizer.decode(train) + tokenizer.decode(val), "a b a b a b a b a b");
  }
  const ids = tokenizerFromJSON({ type: "ids", vocabSize: 12 });
  assert.equal([...ids.encodeToInt32("\n 1  11 0 ")], [1, 11, 0]);
});

test("a match of millions of characters is a RangeError that names the place", () => {
  const text = `ab ${"漢".repeat(1.2e7)}`;
  assert.throws(
    () => [...matches(text, /\p{L}+/gu)],
    (error: Error) =>
      error instanceof RangeError && /^encode: the text at character 2 has/.test(error.message),
  );
  assert.equal([...matches("ab cd", /\p{L}+/gu)], ["ab", "cd"]);
});

test("words that are too long or too many are a RangeError with the limit", () => {
  const tokenizer = BPETokenizer.train("a b", { vocabSize: 256 });
  assert.throws(
    () => tokenizer.encode("a".repeat(2 ** 24 + 1)),
    /word, .* of 16777217 bytes, expected at most 16777216/,
  );
  function* distinct(count: number): Generator<string> {
    for (let i = 0; i < count; i++) yield i.toString(36);
  }
  assert.is(countWords("test", distinct(1000)).size, 1000);
  assert.throws(
    () => countWords("test", distinct(2 ** 23 + 1)),
    /^test: the text has more than 8,388,608 distinct words; train on a part of it$/,
  );
  const letters = [..."abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN"];
  const long = letters.map((letter) => letter.repeat(2 ** 20)).join(" ");
  assert.throws(
    () => BPETokenizer.train(long, { vocabSize: 300 }),
    /distinct words of the text have 41,943,\d+ bytes, expected at most 33,554,432/,
  );
});

test.run();
