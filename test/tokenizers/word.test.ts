// Words as tokens: which ids, what comes back, and that what does not is told.

import fc from "fast-check";
import { tokenizerFromJSON, WordTokenizer } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { saying } from "../support/support.js";

const test = suite("text/word");
const [UNK, JOIN, SPACE] = [0, 1, 2];

test("the commonest words come first, of equals those seen first", () => {
  const tokenizer = WordTokenizer.train("to be, or not to be, that is to be");
  assert.equal(tokenizer.words, ["to", "be", ",", "or", "not", "that", "is"]);
  assert.is(tokenizer.vocabSize, 10);
  const [to, be, comma, or, not] = [3, 4, 5, 6, 7];
  assert.equal(tokenizer.encode("not to be, or to be"), [not, to, be, comma, or, to, be]);
  assert.equal(WordTokenizer.train("a b b c", { vocabSize: 5 }).words, ["b", "a"]);
});

test("space is a token only where it is not as usual", () => {
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

test("an apostrophe belongs to the word that it stands in, a combining mark to its letter", () => {
  const tokenizer = WordTokenizer.train("don't 'tis rock’n’roll e\u0301t\u0301 x_1");
  assert.equal(tokenizer.words, ["don't", "'", "tis", "rock’n’roll", "e\u0301t\u0301", "x_1"]);
});

test("a word that the vocabulary lacks comes back as <unk>, and lost() names it", () => {
  const tokenizer = WordTokenizer.train("the cat");
  assert.equal(tokenizer.encode("the dog the"), [3, UNK, 3]);
  assert.is(tokenizer.decode([3, UNK, 3]), "the <unk> the");
  assert.equal(tokenizer.lost("the dog, the cat, a dog"), ["dog", ",", "a"]);
  assert.equal(tokenizer.lost("the  cat"), []);
  assert.is(tokenizer.decode(tokenizer.encode("the?cat")), "the<unk>cat");
});

test("lower casing makes The and the one token, and lost() names what had capitals", () => {
  const tokenizer = WordTokenizer.train("The the cat THE", { casing: "lower" });
  assert.equal(tokenizer.words, ["the", "cat"]);
  assert.equal(tokenizer.encode("THE Cat"), [3, 4]);
  assert.is(tokenizer.decode([3, 4]), "the cat");
  assert.equal(tokenizer.lost("The cat"), ["The"]);
});

test("ids come back one by one as they do together", () => {
  const text = "I'll  go.\n(Now!) a b";
  const tokenizer = WordTokenizer.train(text);
  const decoder = tokenizer.decoder();
  const ids = tokenizer.encode(text);
  assert.is(ids.map((id) => decoder.write(id)).join("") + decoder.end(), text);
  for (const id of [tokenizer.vocabSize, -1, 0.5])
    assert.throws(
      () => tokenizer.decode([id]),
      saying(`decode: id ${id} is unknown, expected 0 to 12`),
    );
});

const texts = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string({ unit: fc.constantFrom(..."aAİß' ’.\n\t<unk>é\u0301\u00a0\ufeff😀", "\ud800") }),
);

test("law: a text of known words comes back, and its tokenizer from JSON", () => {
  fc.assert(
    fc.property(texts, (text) => {
      const tokenizer = WordTokenizer.train(text);
      assert.equal(tokenizer.lost(text), []);
      assert.is(tokenizer.decode(tokenizer.encode(text)), text);
      const again = tokenizerFromJSON(JSON.parse(JSON.stringify(tokenizer)));
      assert.equal(again.encode(text), tokenizer.encode(text));
    }),
  );
});

test("law: another text comes back but for what lost() names", () => {
  fc.assert(
    fc.property(texts, texts, fc.constantFrom("keep", "lower"), (text, other, casing) => {
      const tokenizer = WordTokenizer.train(other, { casing });
      const back = tokenizer.decode(tokenizer.encode(text));
      assert.is(back === text, tokenizer.lost(text).length === 0);
      const whole = WordTokenizer.train(text, { casing: "lower" });
      assert.is(whole.encode(text).includes(UNK), false);
    }),
  );
});

test("options and JSON that make no sense are refused", () => {
  for (const vocabSize of [3, 4.5, Number.NaN, -Infinity])
    assert.throws(
      () => WordTokenizer.train("a", { vocabSize }),
      saying(`WordTokenizer.train: vocabSize is ${vocabSize}, expected a whole number from 4 up`),
    );
  assert.throws(
    () => WordTokenizer.train("a", { size: 9 } as object),
    /WordTokenizer.train: .*size/,
  );
  assert.throws(
    () => new WordTokenizer([], { casing: "upper" as "lower" }),
    saying("WordTokenizer: casing is upper, expected keep or lower"),
  );
  for (const json of [{ type: "word" }, { type: "word", words: [1] }, { type: "char", words: [] }])
    assert.throws(() => WordTokenizer.fromJSON(json), /JSON is not that of a word tokenizer/);
  assert.throws(() => WordTokenizer.fromJSON({ type: "word", words: [] }), /casing is undefined/);
  for (const words of [["a", "a"], ["a b"], [""], [" "], ["a."]]) {
    const json = { type: "word", casing: "keep", words };
    assert.throws(() => WordTokenizer.fromJSON(json), /is not a single new word/);
  }
});

test.run();
