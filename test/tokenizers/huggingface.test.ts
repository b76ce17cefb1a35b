// Byte-level BPE in tokenizer.json with the pre-tokenizers of Llama 3, Qwen2, SmolLM2 and Mistral:
// the ids are those of the library tokenizers (test/golden/make-llama.py).

import { readFileSync } from "node:fs";
import { BPETokenizer, TokenizerError } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { getCutRule } from "#src/data/prepare/cuts.js";
import { translateRegex } from "#src/tokenizers/bpe/regex.js";
import { encodePrompt } from "#src/tokenizers/registry.js";
import { fixturePath } from "../support/harness.js";

const test = suite("tokenizers/huggingface");
const names = ["llama", "smollm2", "qwen2", "mistral"];
const readJSON = (name: string, file: string) =>
  JSON.parse(readFileSync(fixturePath(`llama/${name}/${file}`), "utf8"));
const load = (name: string) => BPETokenizer.fromJSON(readJSON(name, "tokenizer.json"));

interface Encoded {
  text: string;
  ids: number[];
  decoded: string;
}
const readTexts = (name: string): Encoded[] => readJSON(name, "expected.json").texts;

for (const name of names)
  test(`${name}: ids and texts equal those of the library`, () => {
    const tokenizer = load(name);
    const again = BPETokenizer.fromJSON(JSON.parse(JSON.stringify(tokenizer)));
    assert.equal(again.toJSON(), tokenizer.toJSON());
    const texts = readTexts(name);
    assert.is(texts.length, 18);
    for (const { text, ids, decoded } of texts) {
      assert.equal(tokenizer.encode(text, { allowedSpecial: "all" }), ids, JSON.stringify(text));
      assert.equal(again.encode(text, { allowedSpecial: "all" }), ids, JSON.stringify(text));
      assert.is(tokenizer.decode(ids), decoded);
    }
  });

test("special tokens in a text are text by default, and other added tokens are ids", () => {
  const tokenizer = load("qwen2");
  const [start, call] = ["<|im_start|>", "<tool_call>"].map(
    (token) => tokenizer.vocabulary.special.get(token) as number,
  );
  const ids = tokenizer.encode("<|im_start|><tool_call>");
  assert.not.ok(ids.includes(start));
  assert.is(ids.at(-1), call);
});

test("a prompt begins with the token that the post-processor adds", () => {
  for (const name of names) {
    const { prefix } = readJSON(name, "expected.json");
    assert.is(prefix.length, name === "llama" ? 1 : 0);
    const tokenizer = load(name);
    assert.equal(encodePrompt(tokenizer, "a b"), [...prefix, ...tokenizer.encode("a b")]);
  }
});

test("with ignore_merges, a word that is a token has its id, even without merges", () => {
  const json = readJSON("llama", "tokenizer.json");
  json.model.vocab["\u0120qzx"] = 301;
  const encode = () => BPETokenizer.fromJSON(json).encode(" qzx qzxy");
  const bytes = (text: string) =>
    Array.from(text, (c) => json.model.vocab[c.replace(" ", "\u0120")]);
  assert.equal(encode(), [301, ...bytes(" qzxy")]);
  json.model.ignore_merges = false;
  assert.equal(encode(), bytes(" qzx qzxy"));
});

test("pieces of a text have the ids of the whole text", () => {
  for (const name of names) {
    const tokenizer = load(name);
    const text = readTexts(name)
      .map(({ text }) => `${text}\nword  \n  next line.\n\nA1 (b)\nc`)
      .join("\nlines\nend in  \nSpaces  \nAnd more  \nOf them\n");
    const bytes = Buffer.from(text);
    const rule = getCutRule(tokenizer);
    const pieces: number[] = [];
    let begin = 0;
    let cuts = 0;
    while (begin < bytes.length) {
      const rest = bytes.subarray(begin);
      const cut = rest.length > 60 ? rule.find(rest, 60) : 0;
      const end = cut > 0 ? cut : rest.length;
      pieces.push(...tokenizer.encodeUtf8(rest.subarray(0, end)));
      begin += end;
      cuts++;
    }
    assert.ok(cuts > 3, `${name}: ${cuts}`);
    const find = (text: string) => rule.find(Buffer.from(text), text.length - 1);
    assert.equal(
      ["ab\nCd", "ab  \nCd", "ab\n\nCd", "ab\n Cd", "ab\n(d"].map(find),
      [3, 0, 0, 0, 0],
    );
    assert.equal(pieces, tokenizer.encode(text), name);
  }
});

test("patterns that JavaScript would match differently are errors", () => {
  for (const pattern of [
    "a++",
    "a*?",
    "(?<x>a)",
    "(?>a)",
    "(?i)a",
    "^a",
    "a$",
    ".",
    "\\w",
    "\\h",
    "\\p{NoSuch}",
    "[[:alpha:]]",
    "[a&&b]",
    "(?i:[a])",
    "[a",
    "a)",
    "(a",
    "*",
  ])
    assert.throws(
      () => translateRegex(pattern),
      (error: Error) => error instanceof TokenizerError && error.message.includes("pattern"),
      pattern,
    );
});

test("translated patterns: cases, white space, scripts, escapes", () => {
  const match = (pattern: string, text: string) => text.match(translateRegex(pattern)) ?? [];
  assert.equal(match("(?i:'s|k)x", "'sx'Sx'\u017fx\u212ax Kx"), [
    "'sx",
    "'Sx",
    "'\u017fx",
    "\u212ax",
    "Kx",
  ]);
  assert.equal(match("\\s+", "a\u0085\u00a0b\ufeffc\u180e d"), ["\u0085\u00a0", " "]);
  assert.equal(match("\\p{Han}+|[^\\S\\n]|\\-|[\\]a-c\\/]", "日本x\n -]b/"), [
    "日本",
    " ",
    "-",
    "]",
    "b",
    "/",
  ]);
});

test("steps that are not supported are errors that name them", () => {
  type JSONObject = Record<string, unknown>;
  const cases: [change: (json: JSONObject) => void, pattern: RegExp][] = [
    [(json) => (json.normalizer = { type: "Prepend", prepend: "_" }), /normalizer has type "Prep/],
    [(json) => (json.pre_tokenizer = { type: "Metaspace" }), /pre_tokenizer has type "Metaspace"/],
    [(json) => (json.pre_tokenizer = { type: "Sequence" }), /pretokenizers is not a list/],
    [
      (json) => (json.pre_tokenizer = { type: "Sequence", pretokenizers: [] }),
      /pre_tokenizer has no step of type ByteLevel/,
    ],
    [
      (json) =>
        (json.pre_tokenizer = { type: "Split", pattern: { Regex: "a" }, behavior: "Removed" }),
      /behavior "Removed"/,
    ],
    [
      (json) =>
        (json.pre_tokenizer = { type: "Split", pattern: { String: "a" }, behavior: "Isolated" }),
      /pattern .*, expected a Regex/,
    ],
    [
      (json) => (json.post_processor = { type: "BertProcessing" }),
      /post_processor has type "BertProcessing"/,
    ],
    [
      (json) =>
        (json.post_processor = {
          type: "TemplateProcessing",
          single: [{ Sequence: { id: "A" } }, { SpecialToken: { id: "<|endoftext|>" } }],
        }),
      /post_processor adds tokens to the text/,
    ],
    [(json) => ((json.model as JSONObject).byte_fallback = true), /byte_fallback/],
    [
      (json) => ((json.added_tokens as JSONObject[])[0].lstrip = true),
      /added token .* has single_word, lstrip or rstrip/,
    ],
  ];
  for (const [change, pattern] of cases) {
    const json = readJSON("qwen2", "tokenizer.json");
    change(json);
    assert.throws(() => BPETokenizer.fromJSON(json), pattern);
  }
});

test.run();
