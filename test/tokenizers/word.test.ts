// Tests of the word tokenizer: ids, round trips, and the words that do not survive one.

import fc from "fast-check";
import { tokenizerFromJSON, WordTokenizer } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { hasMessage } from "../support/harness.js";

const test = suite("tokenizers/word");
const UNK = 0;
const JOIN = 1;
const SPACE = 2;

test("ids are in order of descending frequency, then of first occurrence", () => {
  const tokenizer = WordTokenizer.train("to be, or not to be, that is to be");
  assert.equal(tokenizer.words, ["to", "be", ",", "or", "not", "that", "is"]);
  assert.is(tokenizer.vocabSize, 10);
  const [to, be, comma, or, not] = [3, 4, 5, 6, 7];
  assert.equal(tokenizer.encode("not to be, or to be"), [not, to, be, comma, or, to, be]);
  assert.equal(WordTokenizer.train("a b b c", { vocabSize: 5 }).words, ["b", "a"]);
});

test("only non-default spacing costs tokens", () => {
  const tokenizer = WordTokenizer.train("a b . \n");
  const [a, b, dot, line] = [3, 4, 5, 6];
  const cases: [text: string, ids: number[]][] = [
    ["a b.", [a, b, dot]],
    ["a  b", [a, SPACE, SPACE, b]],
    ["a .", [a, SPACE, dot]],
    [".b", [dot, JOIN, b]],
    [" a ", [SPACE, a, SPACE]],
    ["a\nb", [a, line, b]],
    ["a \n b", [a, SPACE, line, SPACE, b]],
    ["", []],
  ];
  for (const [text, ids] of cases) {
    assert.equal(tokenizer.encode(text), ids, JSON.stringify(text));
    assert.is(tokenizer.decode(ids), text);
  }
});

test("an inner apostrophe is part of its word, a combining mark part of its letter", () => {
  const tokenizer = WordTokenizer.train("don't 'tis rock’n’roll e\u0301t\u0301 x_1");
  assert.equal(tokenizer.words, ["don't", "'", "tis", "rock’n’roll", "e\u0301t\u0301", "x_1"]);
});

test("a word outside the vocabulary decodes as <unk>, and lost() lists it", () => {
  const tokenizer = WordTokenizer.train("the cat");
  assert.equal(tokenizer.encode("the dog the"), [3, UNK, 3]);
  assert.is(tokenizer.decode([3, UNK, 3]), "the <unk> the");
  assert.equal(tokenizer.lost("the dog, the cat, a dog"), ["dog", ",", "a"]);
  assert.equal(tokenizer.lost("the  cat"), []);
  assert.is(tokenizer.decode(tokenizer.encode("the?cat")), "the<unk>cat");
});

test("casing lower encodes The and the as one token; lost() lists words with capitals", () => {
  const tokenizer = WordTokenizer.train("The the cat THE", { casing: "lower" });
  assert.equal(tokenizer.words, ["the", "cat"]);
  assert.equal(tokenizer.encode("THE Cat"), [3, 4]);
  assert.is(tokenizer.decode([3, 4]), "the cat");
  assert.equal(tokenizer.lost("The cat"), ["The"]);
});

test("decoding one id at a time equals decoding all", () => {
  const text = "I'll  go.\n(Now!) a b";
  const tokenizer = WordTokenizer.train(text);
  const decoder = tokenizer.decoder();
  const ids = tokenizer.encode(text);
  assert.is(ids.map((id) => decoder.write(id)).join("") + decoder.end(), text);
  for (const id of [tokenizer.vocabSize, -1, 0.5])
    assert.throws(
      () => tokenizer.decode([id]),
      hasMessage(`decode: id ${id} is unknown, expected 0 to 12`),
    );
});

const texts = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string({ unit: fc.constantFrom(..."aAİß' ’.\n\t<unk>é\u0301\u00a0\ufeff😀", "\ud800") }),
);

test("property: text of known words survives a round trip, as does the tokenizer as JSON", () => {
  fc.assert(
    fc.property(texts, (text) => {
      const tokenizer = WordTokenizer.train(text);
      assert.equal(tokenizer.lost(text), []);
      assert.is(tokenizer.decode(tokenizer.encode(text)), text);
      const restored = tokenizerFromJSON(JSON.parse(JSON.stringify(tokenizer)));
      assert.equal(restored.encode(text), tokenizer.encode(text));
    }),
  );
});

test("property: any text survives a round trip except for the words that lost() lists", () => {
  fc.assert(
    fc.property(texts, texts, fc.constantFrom("keep", "lower"), (text, other, casing) => {
      const tokenizer = WordTokenizer.train(other, { casing });
      const decoded = tokenizer.decode(tokenizer.encode(text));
      assert.is(decoded === text, tokenizer.lost(text).length === 0);
      const complete = WordTokenizer.train(text, { casing: "lower" });
      assert.is(complete.encode(text).includes(UNK), false);
    }),
  );
});

test("invalid options and JSON are rejected", () => {
  for (const vocabSize of [3, 4.5, Number.NaN, -Infinity])
    assert.throws(
      () => WordTokenizer.train("a", { vocabSize }),
      hasMessage(
        `WordTokenizer.train: vocabSize is ${vocabSize}, expected a whole number from 4 up`,
      ),
    );
  assert.throws(
    () => WordTokenizer.train("a", { size: 9 } as object),
    /WordTokenizer.train: .*size/,
  );
  assert.throws(
    () => new WordTokenizer([], { casing: "upper" as "lower" }),
    hasMessage("WordTokenizer: casing is upper, expected keep or lower"),
  );
  for (const json of [{ type: "word" }, { type: "word", words: [1] }, { type: "char", words: [] }])
    assert.throws(() => WordTokenizer.fromJSON(json), /JSON does not describe a word tokenizer/);
  assert.throws(() => WordTokenizer.fromJSON({ type: "word", words: [] }), /casing is undefined/);
  for (const words of [["a", "a"], ["a b"], [""], [" "], ["a."]]) {
    const json = { type: "word", casing: "keep", words };
    assert.throws(
      () => WordTokenizer.fromJSON(json),
      /vocabulary entries must be single, distinct words; got "/,
    );
  }
});

test.run();
