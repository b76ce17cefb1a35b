// Tests of the character tokenizer: ids, round trips, and errors.

import fc from "fast-check";
import { CharTokenizer } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { tokenizerFromJSON } from "#src/tokenizers/registry.js";
import { hasMessage } from "../support/harness.js";

const test = suite("tokenizers/char");

test("character ids are indices in the sorted vocabulary", () => {
  const tokenizer = CharTokenizer.train("hello world");
  assert.equal(tokenizer.characters.join(""), " dehlorw");
  assert.is(tokenizer.vocabSize, 8);
  assert.equal(tokenizer.encode("hold"), [3, 5, 4, 1]);
  assert.is(tokenizer.decode([7, 5, 6, 4, 1]), "world");
  assert.is(tokenizer.decode(Int32Array.of(3)), "h");
});

test("characters are code points, in code point order", () => {
  const tokenizer = CharTokenizer.train("z\u{1F600}\uFFFD\u{10000}é");
  assert.equal(tokenizer.characters, ["z", "é", "\uFFFD", "\u{10000}", "\u{1F600}"]);
  assert.equal(tokenizer.encode("\u{1F600}z"), [4, 0]);
});

test("an unknown character is rejected with its code point and position", () => {
  const tokenizer = CharTokenizer.train("abc");
  assert.throws(
    () => tokenizer.encode("ab\nc"),
    'encode: character "\\n" (U+000A) at position 2 is not in the vocabulary',
  );
  assert.throws(() => tokenizer.encode("a\u{1F600}"), /"\u{1F600}" \(U\+1F600\) at position 1/u);
  for (const id of [3, -1, 0.5])
    assert.throws(
      () => tokenizer.decode([id]),
      hasMessage(`decode: id ${id} is unknown, expected 0 to 2`),
    );
});

test("property: text of known characters survives a round trip, as does the JSON", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const tokenizer = CharTokenizer.train(text);
      assert.is(tokenizer.decode(tokenizer.encode(text)), text);
      const restored = tokenizerFromJSON(JSON.parse(JSON.stringify(tokenizer)));
      assert.equal(restored.encode(text), tokenizer.encode(text));
    }),
  );
});

test("invalid JSON is rejected", () => {
  for (const json of [
    null,
    {},
    [],
    { type: "char" },
    { type: "word", characters: [] },
    { type: "char", characters: [1] },
  ])
    assert.throws(() => CharTokenizer.fromJSON(json), /CharTokenizer: JSON does not describe/);
  for (const characters of [["a", "a"], ["ab"], [""]])
    assert.throws(
      () => CharTokenizer.fromJSON({ type: "char", characters }),
      /vocabulary entries must be single, distinct characters; got "/,
    );
});

test.run();
