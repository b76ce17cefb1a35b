// Splitting a text into training and validation characters.

import { CharTokenizer } from "tinybard";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { countCharacters, splitText, splitTokens } from "#src/data/batches.js";

test("characters are code points: a surrogate pair counts as one", () => {
  assert.is(countCharacters(""), 0);
  assert.is(countCharacters("abc"), 3);
  assert.is(countCharacters("a\u{1f600}c"), 3);
  assert.is(countCharacters("\u{1f600}\u{1f601}"), 2);
  assert.is(countCharacters("\ud83d"), 1); // one half of a pair
});

test("the first 90 % of the characters are for training, rounded down", () => {
  assert.equal(splitText("0123456789"), { train: "012345678", val: "9" });
  assert.equal(splitText("012345678"), { train: "01234567", val: "8" });
  assert.equal(splitText("x"), { train: "", val: "x" });
  assert.equal(splitText(""), { train: "", val: "" });
  const faces = "\u{1f600}".repeat(20);
  assert.equal(splitText(faces), { train: faces.slice(0, 36), val: faces.slice(36) });
});

test("splitTokens() encodes the two parts", () => {
  const tokenizer = CharTokenizer.train("0123456789");
  const { train, val } = splitTokens("9876543210", tokenizer);
  assert.equal(train, Int32Array.of(9, 8, 7, 6, 5, 4, 3, 2, 1));
  assert.equal(val, Int32Array.of(0));
});

test.run();
