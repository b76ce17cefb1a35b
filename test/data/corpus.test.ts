import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { CharTokenizer } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { loadCorpus } from "#src/data/corpus.js";
import { tokenizerFromJSON } from "#src/tokenizers/registry.js";
import { saying } from "../support/support.js";

const test = suite("text");
const folder = mkdtempSync(join(tmpdir(), "tinybard-text-"));
test.after(() => rmSync(folder, { recursive: true }));

test("characters: ids are places in the sorted vocabulary", () => {
  const tokenizer = CharTokenizer.train("hello world");
  assert.equal(tokenizer.characters.join(""), " dehlorw");
  assert.is(tokenizer.vocabSize, 8);
  assert.equal(tokenizer.encode("hold"), [3, 5, 4, 1]);
  assert.is(tokenizer.decode([7, 5, 6, 4, 1]), "world");
  assert.is(tokenizer.decode(Int32Array.of(3)), "h");
});

test("characters are code points, sorted as such", () => {
  const tokenizer = CharTokenizer.train("z\u{1F600}\uFFFD\u{10000}é");
  assert.equal(tokenizer.characters, ["z", "é", "\uFFFD", "\u{10000}", "\u{1F600}"]);
  assert.equal(tokenizer.encode("\u{1F600}z"), [4, 0]);
});

test("an unknown character is refused by name and position", () => {
  const tokenizer = CharTokenizer.train("abc");
  assert.throws(
    () => tokenizer.encode("ab\nc"),
    'encode: character "\\n" (U+000A) at position 2 is not in the vocabulary',
  );
  assert.throws(() => tokenizer.encode("a\u{1F600}"), /"\u{1F600}" \(U\+1F600\) at position 1/u);
  for (const id of [3, -1, 0.5])
    assert.throws(
      () => tokenizer.decode([id]),
      saying(`decode: id ${id} is unknown, expected 0 to 2`),
    );
});

test("law: every string of known characters comes back; so does the tokenizer from JSON", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const tokenizer = CharTokenizer.train(text);
      assert.is(tokenizer.decode(tokenizer.encode(text)), text);
      const again = tokenizerFromJSON(JSON.parse(JSON.stringify(tokenizer)));
      assert.equal(again.encode(text), tokenizer.encode(text));
    }),
  );
});

test("JSON that is not a tokenizer is rejected", () => {
  for (const json of [
    null,
    {},
    [],
    { type: "char" },
    { type: "word", characters: [] },
    { type: "char", characters: [1] },
  ])
    assert.throws(() => CharTokenizer.fromJSON(json), /CharTokenizer: JSON is not/);
  for (const characters of [["a", "a"], ["ab"], [""]])
    assert.throws(
      () => CharTokenizer.fromJSON({ type: "char", characters }),
      /is not a single new character/,
    );
});

test("a text is a file or the one in TINYBARD_DATA, and must be UTF-8", async () => {
  const file = join(folder, "a.txt");
  writeFileSync(file, "To be, or not — ever");
  const corpus = { name: file, source: file, text: "To be, or not — ever" };
  assert.equal(await loadCorpus(file), corpus);
  const before = process.env.TINYBARD_DATA;
  process.env.TINYBARD_DATA = file;
  assert.is((await loadCorpus()).text, "To be, or not — ever");
  if (before === undefined) delete process.env.TINYBARD_DATA;
  else process.env.TINYBARD_DATA = before;
  writeFileSync(join(folder, "b.txt"), Uint8Array.of(0x80, 0xff));
  for (const [name, message] of [
    ["b.txt", /is not UTF-8 text/],
    ["none.txt", /no such file; choose a text with --data FILE/],
  ] as const) {
    const outcome = await loadCorpus(join(folder, name)).catch((error) => error.message);
    assert.match(outcome, message);
  }
});

test("Moby-Dick comes from its package, its quotes in ASCII", async () => {
  const corpus = await loadCorpus("moby-dick").catch((error) => error as Error);
  if (corpus instanceof Error) {
    console.log(`skipped: Moby-Dick: ${corpus.message}`);
    return;
  }
  assert.is(createHash("sha256").update(corpus.text).digest("hex").length, 64);
  assert.is(corpus.text.length, 1_191_933);
  assert.is(new Set(corpus.text).size, 80);
  assert.ok(corpus.text.startsWith("CHAPTER 1. Loomings.\n\nCall me Ishmael."));
});

test.run();
