// Byte-pair encoding: its training and its use against the plainest way to do each, and that every
// text comes back.

import fc from "fast-check";
import { BPETokenizer, loadCorpus, tokenizerFromJSON } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Merges } from "#src/tokenizers/bpe/encode.js";
import { byteOrder, splitWords, toBytes } from "#src/tokenizers/bpe/pretokenize.js";
import { learnMerges } from "#src/tokenizers/bpe/train.js";
import { decodeStream, defaultPrompt } from "#src/tokenizers/tokenizer.js";
import { saying } from "../support/support.js";
import { arbitraryText, toWellFormed, unusualTexts } from "../support/unusual-texts.ts";

const test = suite("text/bpe");
const END = "<|endoftext|>";
const idOf = (byte: string) => byteOrder.indexOf(byte);
const bytesOf = (word: string) => Array.from(toBytes(word), idOf);

type Pair = [left: number, right: number];

/** The ids with a pair made one, from left to right. */
function join(ids: number[], [left, right]: Pair, result: number): number[] {
  const joined: number[] = [];
  for (let i = 0; i < ids.length; i++) {
    const isPair = ids[i] === left && ids[i + 1] === right;
    joined.push(isPair ? result : ids[i]);
    if (isPair) i++;
  }
  return joined;
}

/** Training with all pairs counted anew for each merge. */
function learnPlainly(words: ReadonlyMap<string, number>, most: number): Pair[] {
  const merges: Pair[] = [];
  let lines = Array.from(words, ([word, times]) => ({ ids: bytesOf(word), times }));
  while (merges.length < most) {
    const counts = new Map<string, { pair: Pair; count: number }>();
    for (const { ids, times } of lines) {
      for (let i = 1; i < ids.length; i++) {
        const pair: Pair = [ids[i - 1], ids[i]];
        const known = counts.get(`${pair}`) ?? { pair, count: 0 };
        counts.set(`${pair}`, { pair, count: known.count + times });
      }
    }
    const [best] = [...counts.values()].sort(
      (a, b) => b.count - a.count || a.pair[0] - b.pair[0] || a.pair[1] - b.pair[1],
    );
    if (!best || best.count < 2) break;
    const result = byteOrder.length + merges.length;
    lines = lines.map(({ ids, times }) => ({ ids: join(ids, best.pair, result), times }));
    merges.push(best.pair);
  }
  return merges;
}

/** Encoding that looks through the whole word for each merge. */
function applyPlainly(merges: readonly Pair[], word: number[]): number[] {
  let ids = word;
  for (;;) {
    const isThere = ([left, right]: Pair) =>
      ids.some((id, i) => id === left && ids[i + 1] === right);
    const rank = merges.findIndex(isThere);
    if (rank === -1) return ids;
    ids = join(ids, merges[rank], byteOrder.length + rank);
  }
}

test("merges of a text that can be counted by hand", () => {
  // ab 5 times; then " ab" 4 times and abc 3 times, of which 2 are " abc"
  const tokenizer = BPETokenizer.train("abc ab abc abc ab", { vocabSize: 260 });
  const [a, b, c, space] = ["a", "b", "c", " "].map(idOf);
  assert.equal(tokenizer.vocabulary.merges, [
    [a, b],
    [space, 256],
    [257, c],
  ]);
  assert.is(tokenizer.vocabSize, 259, "no pair occurs twice any more");
  assert.equal(tokenizer.encode("abc ab abc cab"), [256, c, 257, 258, space, c, 256]);
  assert.equal(tokenizer.encode(""), []);
  assert.is(tokenizer.decode([257, 258]), " ab abc");
});

const word = fc.string({ unit: fc.constantFrom(..."aabc"), minLength: 1, maxLength: 30 });
const wordCounts = fc
  .array(fc.tuple(word, fc.integer({ min: 1, max: 5 })), { minLength: 1, maxLength: 8 })
  .map((entries) => new Map(entries));

test("law: training learns what counting anew for each merge learns", () => {
  fc.assert(
    fc.property(wordCounts, fc.integer({ min: 0, max: 30 }), (words, most) => {
      const { tokens, merges } = learnMerges(words, most);
      assert.equal(merges, learnPlainly(words, most));
      for (const [i, [left, right]] of merges.entries())
        assert.is(tokens[byteOrder.length + i], tokens[left] + tokens[right]);
    }),
  );
});

test("law: the queue makes the merges that a search of the word makes", () => {
  fc.assert(
    fc.property(wordCounts, word, (words, other) => {
      const { merges } = learnMerges(words, 30);
      const table = new Merges();
      for (const [i, [left, right]] of merges.entries())
        table.add(left, right, byteOrder.length + i);
      for (const each of [other, ...words.keys()])
        assert.equal(table.apply(bytesOf(each)), applyPlainly(merges, bytesOf(each)));
    }),
  );
});

test("words, with the space before them, numbers, marks and white space are apart", () => {
  const cases: [text: string, words: string[]][] = [
    ["I'll don't WE'VE", ["I", "'ll", " don", "'t", " WE", "'", "VE"]],
    ["a  b\n\n c1 2!?", ["a", " ", " b", "\n\n", " c", "1", " 2", "!?"]],
    ["end  \n", ["end", "  \n"]],
    ["½٣ é漢", ["½٣", " é漢"]],
    ["a\ufeffb", ["a", "\ufeff", "b"]], // no white space to Unicode, though \s has it
    ["a\u0085b \u0085c", ["a", "\u0085", "b", " ", "\u0085", "c"]], // \s lacks it
    ["a\u2028 b", ["a", "\u2028", " b"]],
    ["e\u0301", ["e", "\u0301"]],
  ];
  for (const [text, words] of cases) assert.equal([...splitWords(text)], words, text);
});

const learned = BPETokenizer.train("the cat — café 😀😀 said: “thé” ".repeat(3), {
  vocabSize: 300,
  specialTokens: [END],
});

test("law: every text comes back; a lone surrogate comes back as U+FFFD", () => {
  const comesBack = (text: string) => {
    const ids = learned.encode(text);
    assert.is(learned.decode(ids), toWellFormed(text), JSON.stringify(text));
    const decoder = learned.decoder();
    const parts = ids.map((id) => decoder.write(id));
    assert.is(parts.join("") + decoder.end(), toWellFormed(text));
    assert.is([...splitWords(text)].join(""), text);
  };
  for (const text of unusualTexts) comesBack(text);
  fc.assert(fc.property(arbitraryText, comesBack));
});

test("law: any ids decode as TextDecoder does, together or one by one", () => {
  const id = fc.integer({ min: 0, max: learned.vocabSize - 1 });
  fc.assert(
    fc.property(fc.array(id), (ids) => {
      const bytes = Buffer.from(ids.map((id) => learned.vocabulary.tokens[id]).join(""), "latin1");
      const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
      assert.is(learned.decode(ids), text);
      const decoder = learned.decoder();
      assert.is(ids.map((id) => decoder.write(id)).join("") + decoder.end(), text);
    }),
  );
});

test("a character of several tokens comes with its last one", async () => {
  const bytes = BPETokenizer.train("", { vocabSize: 256 });
  const ids = bytes.encode("é😀");
  assert.is(ids.length, 6);
  const decoder = bytes.decoder();
  assert.equal(
    ids.map((id) => decoder.write(id)),
    ["", "é", "", "", "", "😀"],
  );
  assert.is(bytes.decode(ids.slice(0, 5)), "é\ufffd");
  assert.is(bytes.decode([ids[1], 0]), "\ufffd!");
  const parts: string[] = [];
  for await (const part of decodeStream(bytes, ids.slice(1, 5), ids.slice(0, 1))) parts.push(part);
  assert.equal(parts, ["é", "", "", "", "\ufffd"]);
  for (const id of [256, -1, 1.5])
    assert.throws(
      () => bytes.decode([id]),
      saying(`decode: id ${id} is unknown, expected 0 to 255`),
    );
  assert.equal(defaultPrompt(bytes), [idOf("\n")]);
});

test("a special token is text like any other, but where it is allowed", () => {
  const id = learned.vocabSize - 1;
  const text = `a${END}${END} b`;
  const plain = learned.encode(text);
  assert.is(plain.includes(id), false);
  assert.is(learned.decode(plain), text);
  const [a, b] = [learned.encode("a"), learned.encode(" b")];
  for (const allowedSpecial of ["all", [END]] as const)
    assert.equal(learned.encode(text, { allowedSpecial }), [...a, id, id, ...b]);
  assert.is(learned.decode([...a, id]), `a${END}`);
  assert.throws(
    () => learned.encode("a", { allowedSpecial: ["<s>"] }),
    'encode: allowedSpecial has "<s>", an unknown one',
  );
  assert.throws(() => learned.encode("a", { special: true } as object), /encode: .*special/);
});

test("of special tokens that begin alike the longest is meant; none is learned from", () => {
  const specialTokens = ["<a>", "<a>+", "(.*)"];
  const tokenizer = BPETokenizer.train("<a>+(.*)<a>+(.*)xyxyxyxy", {
    vocabSize: 300,
    specialTokens,
  });
  assert.equal(tokenizer.vocabulary.merges.length, 2, "xy and xyxy");
  const [first, longest, pattern] = [-3, -2, -1].map((i) => tokenizer.vocabSize + i);
  assert.equal(tokenizer.encode("<a>+<a>(.*)", { allowedSpecial: "all" }), [
    longest,
    first,
    pattern,
  ]);
});

test("a special token may not be written in files as an ordinary one is", () => {
  for (const specialTokens of [["a"], ["Ġ"], ["Ġab"]])
    assert.throws(
      () => BPETokenizer.train(" ab ab", { vocabSize: 300, specialTokens }),
      saying(`BPETokenizer: special token "${specialTokens[0]}" is written as an ordinary one is`),
    );
});

test("options that make no sense are refused", () => {
  for (const vocabSize of [255, 300.5, Number.NaN, Infinity])
    assert.throws(
      () => BPETokenizer.train("a", { vocabSize }),
      saying(`BPETokenizer.train: vocabSize is ${vocabSize}, expected a whole number from 256 up`),
    );
  assert.throws(
    () => BPETokenizer.train("a", { vocabSize: 256, specialTokens: [END] }),
    /expected a whole number from 257 up/,
  );
  for (const specialTokens of [[""], [END, END]])
    assert.throws(
      () => BPETokenizer.train("a", { vocabSize: 300, specialTokens }),
      /specialTokens are not different names/,
    );
  assert.throws(
    () => BPETokenizer.train("a", { vocabSize: 300, merges: 9 } as never),
    /BPETokenizer.train: unknown option merges/,
  );
});

/** Seconds of this process's own work: others on the machine do not count. */
function seconds(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

test("1,024 merges of a megabyte take less than 5 s, and come out the same again", async () => {
  const corpus = await loadCorpus("moby-dick").catch((error) => error as Error);
  if (corpus instanceof Error) {
    console.log(`skipped: 1,024 merges of Moby-Dick: ${corpus.message}`);
    return;
  }
  const text = corpus.text.slice(0, 1e6);
  const train = () => BPETokenizer.train(text, { vocabSize: 1280 });
  let tokenizer: BPETokenizer | undefined;
  const took = seconds(() => {
    tokenizer = train();
  });
  assert.ok(took < 5, `${took} s`);
  assert.is(tokenizer?.vocabulary.merges.length, 1024);
  assert.equal(train().vocabulary, tokenizer?.vocabulary);
  const { merges } = tokenizer?.vocabulary ?? { merges: [] };
  const first = learnPlainly(countWords(text), 12);
  assert.equal(merges.slice(0, 12), first);
});

function countWords(text: string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const word of splitWords(text)) counts.set(word, (counts.get(word) ?? 0) + 1);
  return counts;
}

test("a word of 10^5 equal characters takes seconds at most, to learn from and to encode", () => {
  const long = "a".repeat(1e5);
  let tokenizer: BPETokenizer | undefined;
  let ids: number[] = [];
  const took = seconds(() => {
    tokenizer = BPETokenizer.train(long, { vocabSize: 270 });
    ids = tokenizer.encode(long);
  });
  assert.ok(took < 5, `${took} s`);
  // tokens of 1, 2, 4 ... 2^14 letters: 100,000 = 6 2^14 + 2^10 + 2^9 + 2^7 + 2^5
  assert.is(ids.length, 6 + 4);
  assert.is(tokenizer?.decode(ids), long);
});

test("JSON gives the same tokenizer back", () => {
  const again = tokenizerFromJSON(JSON.parse(JSON.stringify(learned)));
  assert.equal((again as BPETokenizer).vocabulary, learned.vocabulary);
  for (const text of unusualTexts) assert.equal(again.encode(text), learned.encode(text));
});

test.run();
