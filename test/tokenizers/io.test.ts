// Tests of BPE files: Hugging Face's formats are read and written, and an invalid file is reported
// as a TokenizerError.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { BPETokenizer, loadBPE, saveBPE, TokenizerError, tokenizerFromJSON } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { byteAlphabet, bytesToUnicode, unicodeToBytes } from "#src/tokenizers/bpe/alphabet.js";
import { unusualTexts } from "../support/unusual-texts.ts";

const test = suite("tokenizers/io");
const folder = mkdtempSync(join(tmpdir(), "tinybard-bpe-"));
test.after(() => rmSync(folder, { recursive: true }));

const END = "<|endoftext|>";
const learned = BPETokenizer.train("the cat, thé cat, 1 1 2 ".repeat(2), {
  vocabSize: 280,
  specialTokens: [END, "<|two words|>"],
});

interface TokenizerJSON {
  [field: string]: unknown;
  model: { vocab: Record<string, unknown>; merges: unknown; [field: string]: unknown };
  added_tokens: Record<string, unknown>[];
}
const toFreshJSON = () => JSON.parse(JSON.stringify(learned)) as TokenizerJSON;

test("unprintable bytes are written as characters from U+0100 up, as in GPT-2", () => {
  assert.is(bytesToUnicode(" the\n\t\u00e9\u00ad\u0000"), "ĠtheĊĉéŃĀ");
  assert.is(unicodeToBytes("Ġthe"), " the");
  assert.is(unicodeToBytes("the cat"), undefined);
  assert.equal(
    [...byteAlphabet].sort().map((byte) => byte.charCodeAt(0)),
    [...Array(256).keys()],
  );
  assert.is(new Set(byteAlphabet.map(bytesToUnicode)).size, 256);
  for (const byte of byteAlphabet) assert.is(unicodeToBytes(bytesToUnicode(byte)), byte);
});

test("tokenizer.json has the fields and values of Hugging Face tokenizers", () => {
  const { model, added_tokens: added, ...steps } = toFreshJSON();
  const { vocab, merges, ...settings } = model;
  const plain = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
  assert.is(vocab.Ġ, 220);
  assert.is(Object.keys(vocab).length, learned.vocabSize - 2);
  assert.equal((merges as string[])[0], "a t");
  assert.equal(steps.pre_tokenizer, plain);
  assert.equal(steps.decoder, plain);
  assert.equal([steps.normalizer, steps.post_processor, steps.version], [null, null, "1.0"]);
  assert.equal([settings.type, settings.unk_token, settings.ignore_merges], ["BPE", null, false]);
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false };
  const id = learned.vocabSize - 2;
  assert.equal(added[0], { id, content: END, ...flags, special: true });
});

test("folder round trip, by tokenizer.json or GPT-2's two files", () => {
  const out = join(folder, "whole", "deep");
  saveBPE(out, learned);
  const fromJSON = loadBPE(out);
  rmSync(join(out, "tokenizer.json"));
  const fromFiles = loadBPE(out);
  for (const restored of [fromJSON, fromFiles]) {
    assert.equal(restored.vocabulary, learned.vocabulary);
    for (const text of unusualTexts) {
      for (const options of [{}, { allowedSpecial: "all" as const }])
        assert.equal(restored.encode(text, options), learned.encode(text, options));
    }
  }
});

test("GPT-2's files: lines may end in CR LF, the version line may be missing", () => {
  const out = join(folder, "plain");
  saveBPE(out, learned);
  rmSync(join(out, "tokenizer.json"));
  const merges = readFileSync(join(out, "merges.txt"), "utf8");
  assert.ok(merges.startsWith("#version: 0.2\na t\n"));
  for (const text of [merges.replaceAll("\n", "\r\n"), merges.slice(merges.indexOf("\n") + 1)]) {
    writeFileSync(join(out, "merges.txt"), text);
    assert.equal(loadBPE(out).vocabulary, learned.vocabulary);
  }
});

test("equivalent forms: merges as lists, special tokens also in the vocabulary", () => {
  const json = toFreshJSON();
  json.model.merges = (json.model.merges as string[]).map((merge) => merge.split(" "));
  for (const { content, id } of json.added_tokens) json.model.vocab[content as string] = id;
  json.post_processor = { type: "ByteLevel", add_prefix_space: true, trim_offsets: false };
  json.pre_tokenizer = { type: "ByteLevel", add_prefix_space: false };
  assert.equal(BPETokenizer.fromJSON(json).vocabulary, learned.vocabulary);
  const single = template("A"); // transformers 5 writes this template
  const pair = template("A", "B");
  json.post_processor = { type: "TemplateProcessing", single, pair, special_tokens: {} };
  assert.equal(BPETokenizer.fromJSON(json).vocabulary, learned.vocabulary);
});

function template(...ids: string[]): object[] {
  return ids.map((id, i) => ({ Sequence: { id, type_id: i } }));
}

/** Changes that make a tokenizer.json invalid, and the expected messages. */
const invalidChanges: [change: (json: TokenizerJSON) => void, message: RegExp][] = [
  [(json) => (json.model = null as never), /model is not a JSON object/],
  [(json) => (json.model.type = "Unigram"), /model has type "Unigram", expected "BPE"/],
  [(json) => (json.model.unk_token = "<unk>"), /model has unk_token "<unk>", expected none/],
  [(json) => (json.model.dropout = 0.1), /model has dropout 0.1, expected none/],
  [(json) => (json.model.byte_fallback = true), /model has byte_fallback/],
  [(json) => (json.normalizer = { type: "Lowercase" }), /normalizer has type "Lowercase"/],
  [(json) => (json.pre_tokenizer = { type: "Whitespace" }), /pre_tokenizer has type "Whitespace"/],
  [(json) => (json.pre_tokenizer = null), /pre_tokenizer is not a JSON object/],
  [(json) => (json.pre_tokenizer = { type: "ByteLevel" }), /adds a prefix space/],
  [(json) => (json.post_processor = { type: "BertProcessing" }), /post_processor has type "Bert/],
  [
    (json) => (json.post_processor = { type: "TemplateProcessing" }),
    /post_processor adds tokens to the text/,
  ],
  [
    (json) => {
      const single = [...template("A"), { SpecialToken: { id: END, type_id: 0 } }];
      json.post_processor = { type: "TemplateProcessing", single };
    },
    /post_processor adds tokens to the text/,
  ],
  [(json) => (json.added_tokens = {} as never), /added_tokens is not a list/],
  [(json) => (json.added_tokens[0].content = ""), /has no content or no id/],
  [(json) => (json.added_tokens[0].id = "280"), /has no content or no id/],
  [(json) => (json.added_tokens[0].single_word = true), /has single_word, lstrip or rstrip/],
  [(json) => (json.added_tokens[0].lstrip = true), /has single_word, lstrip or rstrip/],
  [(json) => (json.added_tokens[0].id = 9), /has id 9, which is also the id of "\*"/],
  [(json) => (json.added_tokens[0].id = 1e9), /has id 1000000000, expected 0 to \d+/],
  [(json) => (json.model.vocab = [] as never), /vocab is not a JSON object/],
  [(json) => (json.model.vocab.a = -1), /token "a" has id -1, expected 0 to/],
  [(json) => (json.model.vocab.a = "64"), /token "a" has id "64", expected 0 to/],
  [(json) => (json.model.vocab.a = 64.5), /token "a" has id 64.5, expected 0 to/],
  [(json) => (json.model.vocab[" a"] = 282), /token " a" is not a sequence of bytes/],
  [(json) => (json.model.vocab[""] = 282), /token "" is not a sequence of bytes/],
  [(json) => delete json.model.vocab.a, /has id \d+, expected 0 to/],
  [(json) => (json.model.merges = "a b"), /merges is not a list/],
  [(json) => (json.model.merges = ["a b c"]), /merge 1 is "a b c", expected two tokens/],
  [(json) => (json.model.merges = ["a xyz"]), /merge 1 is "a xyz", expected two tokens/],
  [(json) => (json.model.merges = [["a", 1]]), /merge 1 is \["a",1\], expected two tokens/],
  [(json) => (json.model.merges = [null]), /merge 1 is null, expected two tokens/],
  [(json) => (json.model.merges = ["q z"]), /vocabulary has no token for "qz"/],
  [(json) => (json.model.merges as string[]).push("a t"), /merge \d+ is a duplicate/],
  [(json) => (json.model.merges = [nested(1e5)]), /merge 1 is .*, expected two tokens/],
];

function nested(depth: number): unknown {
  let list: unknown = [];
  for (let i = 0; i < depth; i++) list = [list];
  return list;
}

test("an invalid tokenizer.json is rejected", () => {
  for (const [change, message] of invalidChanges) {
    const json = toFreshJSON();
    change(json);
    assert.throws(
      () => tokenizerFromJSON({ ...json, model: json.model ?? 0 }),
      (error: Error) => error instanceof TokenizerError && message.test(error.message),
      String(message),
    );
  }
});

test("property: arbitrary JSON causes no errors other than TokenizerError", () => {
  const key = fc.constantFrom("model", "vocab", "merges", "type", "added_tokens", "a", "__proto__");
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: "small" },
      fc.constantFrom<unknown>(null, true, 0, -1, 1e300, "", "BPE", "char", "word", "a b"),
      fc.array(tie("value"), { maxLength: 3 }),
      fc.dictionary(key, tie("value"), { maxKeys: 4 }),
    ),
  }));
  const catchTokenizerError = (read: () => unknown) => {
    try {
      read();
    } catch (error) {
      assert.instance(error, TokenizerError);
    }
  };
  fc.assert(
    fc.property(value, value, value, (top, model, part) => {
      catchTokenizerError(() => tokenizerFromJSON(top));
      catchTokenizerError(() => BPETokenizer.fromJSON(top));
      const json = toFreshJSON();
      catchTokenizerError(() =>
        BPETokenizer.fromJSON({ ...json, model: { ...json.model, vocab: part } }),
      );
      catchTokenizerError(() =>
        BPETokenizer.fromJSON({ ...json, model: { ...json.model, merges: part } }),
      );
      catchTokenizerError(() => BPETokenizer.fromJSON({ ...json, added_tokens: part, model }));
    }),
  );
});

test("invalid files in a folder are rejected with the file name", () => {
  const out = join(folder, "broken");
  mkdirSync(out);
  const assertRejects = (message: RegExp) =>
    assert.throws(
      () => loadBPE(out),
      (error: Error) => error instanceof TokenizerError && message.test(error.message),
      String(message),
    );
  assertRejects(/broken has neither tokenizer.json nor vocab.json and merges.txt/);
  const write = (name: string, text: string) => writeFileSync(join(out, name), text);
  write("vocab.json", "{}");
  assertRejects(/broken.merges.txt: no such file/);
  write("merges.txt", "");
  assertRejects(/broken.vocab.json, .*broken.merges.txt: .*vocabulary has no token for/);
  write("vocab.json", "{");
  assertRejects(/broken.vocab.json: .*JSON/);
  write("vocab.json", "[1]");
  assertRejects(/broken.vocab.json, .*vocab is not a JSON object/);
  write("vocab.json", '{"a": {}}');
  assertRejects(/broken.vocab.json, .*token "a" has id \{\}, expected 0 to 0/);
  const vocab = Object.fromEntries(byteAlphabet.map((byte, id) => [bytesToUnicode(byte), id]));
  write("vocab.json", JSON.stringify(vocab));
  write("merges.txt", "#version: 0.2\na b c\n");
  assertRejects(/broken.merges.txt: .*merge 1 is "a b c", expected two tokens/);
  write("merges.txt", "ab\n");
  assertRejects(/broken.merges.txt: .*merge 1 is "ab", expected two tokens/);
  write("merges.txt", "\u0000 \ufffd\n");
  assertRejects(/broken.merges.txt: .*merge 1 is .*, expected two tokens/);
  write("merges.txt", "#version: 0.2\n");
  assert.is(loadBPE(out).vocabSize, 256);
  write("tokenizer.json", "\ufffd");
  assertRejects(/broken.tokenizer.json: .*JSON/);
  write("tokenizer.json", "{}");
  assertRejects(/broken.tokenizer.json: .*model is not a JSON object/);
  rmSync(join(out, "tokenizer.json"));
  mkdirSync(join(out, "tokenizer.json"));
  assertRejects(/broken.tokenizer.json: a folder, expected a file/);
});

test.run();
