// Tests of byte-pair encoding: training and encoding equal naive implementations, and every text
// survives a round trip.

import fc from "fast-check";
import { BPETokenizer, loadCorpus, tokenizerFromJSON } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { byteAlphabet, encodeUtf8 } from "#src/tokenizers/bpe/alphabet.js";
import { MergeTable } from "#src/tokenizers/bpe/encode.js";
import { forEachWord } from "#src/tokenizers/bpe/pretokenize.js";
import { learnMerges } from "#src/tokenizers/bpe/train.js";
import { WordCounts } from "#src/tokenizers/bpe/word-counts.js";
import { decodeStream, defaultPrompt } from "#src/tokenizers/tokenizer.js";
import { hasMessage } from "../support/harness.js";
import {
  arbitraryText,
  mixedCharacters,
  toWellFormed,
  unusualTexts,
} from "../support/unusual-texts.ts";

const test = suite("tokenizers/bpe");
const END = "<|endoftext|>";
const toByteId = (byte: string) => byteAlphabet.indexOf(byte);
const toByteIds = (word: string) => Array.from(encodeUtf8(word), toByteId);

/** GPT-2's pattern, with Unicode's white space instead of JavaScript's. */
const space = "\\p{White_Space}";
const wordPattern = new RegExp(
  "'(?:s|t|re|ve|m|ll|d)| ?\\p{L}+| ?\\p{N}+" +
    `| ?[^${space}\\p{L}\\p{N}]+|${space}+(?!\\P{White_Space})|${space}+`,
  "gu",
);

/** Returns the words of a text. */
function preTokenize(text: string): string[] {
  const words: string[] = [];
  forEachWord("test", text, (bytes, begin, end) => {
    words.push(Buffer.from(bytes.subarray(begin, end)).toString());
  });
  return words;
}

function toWordCounts(words: ReadonlyMap<string, number>): WordCounts {
  const counts = new WordCounts();
  for (const [word, count] of words) {
    const bytes = Buffer.from(word);
    counts.add(bytes, 0, bytes.length, count);
  }
  return counts;
}

type Pair = [left: number, right: number];

/** Replaces each occurrence of a pair with the id of its merge, from left to right. */
function mergePair(ids: number[], [left, right]: Pair, result: number): number[] {
  const merged: number[] = [];
  for (let i = 0; i < ids.length; i++) {
    const isPair = ids[i] === left && ids[i + 1] === right;
    merged.push(isPair ? result : ids[i]);
    if (isPair) i++;
  }
  return merged;
}

/** Learns merges by recounting all pairs for each merge. */
function learnNaively(words: ReadonlyMap<string, number>, maxMerges: number): Pair[] {
  const merges: Pair[] = [];
  let entries = Array.from(words, ([word, wordCount]) => ({ ids: toByteIds(word), wordCount }));
  while (merges.length < maxMerges) {
    const counts = new Map<string, { pair: Pair; count: number }>();
    for (const { ids, wordCount } of entries) {
      for (let i = 1; i < ids.length; i++) {
        const pair: Pair = [ids[i - 1], ids[i]];
        const count = counts.get(`${pair}`)?.count ?? 0;
        counts.set(`${pair}`, { pair, count: count + wordCount });
      }
    }
    const [best] = [...counts.values()].sort(
      (a, b) => b.count - a.count || a.pair[0] - b.pair[0] || a.pair[1] - b.pair[1],
    );
    if (!best || best.count < 2) break;
    const result = byteAlphabet.length + merges.length;
    entries = entries.map(({ ids, wordCount }) => ({
      ids: mergePair(ids, best.pair, result),
      wordCount,
    }));
    merges.push(best.pair);
  }
  return merges;
}

/** Encodes a word by searching all of it for each merge. */
function applyNaively(merges: readonly Pair[], word: number[]): number[] {
  let ids = word;
  for (;;) {
    const occurs = ([left, right]: Pair) =>
      ids.some((id, i) => id === left && ids[i + 1] === right);
    const rank = merges.findIndex(occurs);
    if (rank === -1) return ids;
    ids = mergePair(ids, merges[rank], byteAlphabet.length + rank);
  }
}

test("the merges of a small text, counted by hand", () => {
  // "ab" occurs 5 times; then " ab" 4 times, "abc" 3 times and " abc" 2 times
  const tokenizer = BPETokenizer.train("abc ab abc abc ab", { vocabSize: 260 });
  const [a, b, c, space] = ["a", "b", "c", " "].map(toByteId);
  assert.equal(tokenizer.vocabulary.merges, [
    [a, b],
    [space, 256],
    [257, c],
  ]);
  assert.is(tokenizer.vocabSize, 259, "no pair occurs twice anymore");
  assert.equal(tokenizer.encode("abc ab abc cab"), [256, c, 257, 258, space, c, 256]);
  assert.equal(tokenizer.encode(""), []);
  assert.is(tokenizer.decode([257, 258]), " ab abc");
});

const word = fc.string({ unit: fc.constantFrom(..."aabc"), minLength: 1, maxLength: 30 });
const wordCounts = fc
  .array(fc.tuple(word, fc.integer({ min: 1, max: 5 })), { minLength: 1, maxLength: 8 })
  .map((entries) => new Map(entries));

test("property: training equals recounting all pairs for each merge", () => {
  fc.assert(
    fc.property(wordCounts, fc.integer({ min: 0, max: 30 }), (words, maxMerges) => {
      const { tokens, merges } = learnMerges(toWordCounts(words), maxMerges);
      assert.equal(merges, learnNaively(words, maxMerges));
      for (const [i, [left, right]] of merges.entries())
        assert.is(tokens[byteAlphabet.length + i], tokens[left] + tokens[right]);
    }),
  );
});

test("property: encoding with a queue equals searching the word for each merge", () => {
  fc.assert(
    fc.property(wordCounts, word, (words, other) => {
      const { merges } = learnMerges(toWordCounts(words), 30);
      const table = new MergeTable();
      for (const [i, [left, right]] of merges.entries())
        table.add(left, right, byteAlphabet.length + i);
      for (const word of [other, ...words.keys()]) {
        const bytes = toByteIds(word);
        assert.equal(table.apply(bytes), applyNaively(merges, bytes));
      }
    }),
  );
});

test("pre-tokenization separates words, numbers, punctuation and white space", () => {
  const cases: [text: string, words: string[]][] = [
    ["I'll don't WE'VE", ["I", "'ll", " don", "'t", " WE", "'", "VE"]],
    ["a  b\n\n c1 2!?", ["a", " ", " b", "\n\n", " c", "1", " 2", "!?"]],
    ["end  \n", ["end", "  \n"]],
    ["½٣ é漢", ["½٣", " é漢"]],
    ["a\ufeffb", ["a", "\ufeff", "b"]], // not white space, but in \s
    ["a\u0085b \u0085c", ["a", "\u0085", "b", " ", "\u0085", "c"]], // white space, but not in \s
    ["a\u2028 b", ["a", "\u2028", " b"]],
    ["e\u0301", ["e", "\u0301"]],
  ];
  for (const [text, words] of cases) assert.equal(preTokenize(text), words, text);
});

test("property: the words are the matches of GPT-2's pattern, also in texts of several buffers", () => {
  const agrees = (text: string) =>
    assert.equal(preTokenize(text), toWellFormed(text).match(wordPattern) ?? [], text.slice(-99));
  for (const text of unusualTexts) agrees(text);
  fc.assert(fc.property(arbitraryText, agrees));
  fc.assert(fc.property(mixedCharacters, agrees), { numRuns: 1000 });
  // the words at the end of the buffer of 2^16 bytes
  const length = fc.integer({ min: 2 ** 16 - 40, max: 2 ** 16 + 10 });
  const long = fc.tuple(
    mixedCharacters,
    length,
    fc.constantFrom("a", "a ", " ", "'re", "漢", "😀"),
  );
  fc.assert(
    fc.property(long, ([text, length, filler]) => {
      const bytes = Buffer.byteLength(filler);
      agrees(filler.repeat(Math.floor(length / bytes)) + text + filler.repeat(3));
    }),
    { numRuns: 50 },
  );
});

test("every character has the kind of the pattern", () => {
  for (let plane = 0; plane <= 0x10; plane++) {
    // each character is a word of its own, or part of one of the words beside it
    let text = "";
    for (let code = plane << 16; code < (plane + 1) << 16; code++)
      text += `a${String.fromCodePoint(code)}1`;
    assert.ok(preTokenize(text).join("|") === toWellFormed(text).match(wordPattern)?.join("|"));
  }
});

const learned = BPETokenizer.train("the cat — café 😀😀 said: “thé” ".repeat(3), {
  vocabSize: 300,
  specialTokens: [END],
});

test("property: every text survives a round trip; a lone surrogate becomes U+FFFD", () => {
  const checkRoundTrip = (text: string) => {
    const ids = learned.encode(text);
    assert.is(learned.decode(ids), toWellFormed(text), JSON.stringify(text));
    const decoder = learned.decoder();
    const parts = ids.map((id) => decoder.write(id));
    assert.is(parts.join("") + decoder.end(), toWellFormed(text));
    assert.is(preTokenize(text).join(""), toWellFormed(text));
  };
  for (const text of unusualTexts) checkRoundTrip(text);
  fc.assert(fc.property(arbitraryText, checkRoundTrip));
});

test("property: any ids decode like their bytes in TextDecoder, together or one at a time", () => {
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

test("the decoder returns a character of several tokens with the last one", async () => {
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
      hasMessage(`decode: id ${id} is unknown, expected 0 to 255`),
    );
  assert.equal(defaultPrompt(bytes), [toByteId("\n")]);
});

test("a special token is encoded as ordinary text unless it is allowed", () => {
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
    'encode: allowedSpecial has "<s>", which is not a special token',
  );
  assert.throws(() => learned.encode("a", { special: true } as object), /encode: .*special/);
});

test("the longest matching special token is taken; training skips special tokens", () => {
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

test("a special token that is spelled like an ordinary token is rejected", () => {
  for (const specialTokens of [["a"], ["Ġ"], ["Ġab"]])
    assert.throws(
      () => BPETokenizer.train(" ab ab", { vocabSize: 300, specialTokens }),
      hasMessage(
        `BPETokenizer: special token "${specialTokens[0]}" is spelled like an ordinary token`,
      ),
    );
});

test("invalid options are rejected", () => {
  for (const vocabSize of [255, 300.5, Number.NaN, Infinity])
    assert.throws(
      () => BPETokenizer.train("a", { vocabSize }),
      hasMessage(
        `BPETokenizer.train: vocabSize is ${vocabSize}, expected a whole number from 256 up`,
      ),
    );
  assert.throws(
    () => BPETokenizer.train("a", { vocabSize: 256, specialTokens: [END] }),
    /expected a whole number from 257 up/,
  );
  for (const specialTokens of [[""], [END, END]])
    assert.throws(
      () => BPETokenizer.train("a", { vocabSize: 300, specialTokens }),
      /specialTokens must be distinct and not empty/,
    );
  assert.throws(
    () => BPETokenizer.train("a", { vocabSize: 300, merges: 9 } as never),
    /BPETokenizer.train: unknown option merges/,
  );
});

/** Returns the CPU time of this process in seconds, which other processes do not influence. */
function measureSeconds(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

test("1,024 merges of a megabyte take less than 5 s and are reproducible", async () => {
  const corpus = await loadCorpus("moby-dick").catch((error) => error as Error);
  if (corpus instanceof Error) {
    console.log(`skipped: 1,024 merges of Moby-Dick: ${corpus.message}`);
    return;
  }
  const text = corpus.text.slice(0, 1e6);
  const train = () => BPETokenizer.train(text, { vocabSize: 1280 });
  let tokenizer: BPETokenizer | undefined;
  const elapsed = measureSeconds(() => {
    tokenizer = train();
  });
  assert.ok(elapsed < 5, `${elapsed} s`);
  assert.is(tokenizer?.vocabulary.merges.length, 1024);
  assert.equal(train().vocabulary, tokenizer?.vocabulary);
  const { merges } = tokenizer?.vocabulary ?? { merges: [] };
  const first = learnNaively(countWords(text), 12);
  assert.equal(merges.slice(0, 12), first);
});

function countWords(text: string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const word of preTokenize(text)) counts.set(word, (counts.get(word) ?? 0) + 1);
  return counts;
}

test("training on and encoding a word of 10^5 equal characters takes less than 5 s", () => {
  const long = "a".repeat(1e5);
  let tokenizer: BPETokenizer | undefined;
  let ids: number[] = [];
  const elapsed = measureSeconds(() => {
    tokenizer = BPETokenizer.train(long, { vocabSize: 270 });
    ids = tokenizer.encode(long);
  });
  assert.ok(elapsed < 5, `${elapsed} s`);
  // tokens have 1, 2, 4 ... 2^14 letters: 100,000 = 6 2^14 + 2^10 + 2^9 + 2^7 + 2^5
  assert.is(ids.length, 6 + 4);
  assert.is(tokenizer?.decode(ids), long);
});

test("JSON round trip", () => {
  const restored = tokenizerFromJSON(JSON.parse(JSON.stringify(learned)));
  assert.equal((restored as BPETokenizer).vocabulary, learned.vocabulary);
  for (const text of unusualTexts) assert.equal(restored.encode(text), learned.encode(text));
});

test.run();
