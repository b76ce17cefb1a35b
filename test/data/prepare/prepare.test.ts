// Tests of prepareShards(): the shards of texts, JSON lines and gzip equal the tokens of the
// documents, for any number of workers, and a folder is continued or refused.

import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { BPETokenizer, CharTokenizer, WordTokenizer } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { splitTokens } from "#src/data/batches.js";
import { type PrepareOptions, prepareShards } from "#src/data/prepare/prepare.js";
import { parseFormat } from "#src/data/shards/format.js";
import { type Manifest, readManifest, type Split } from "#src/data/shards/manifest.js";
import { sha256OfFiles } from "#src/files/sha256.js";
import { loadTokenizer, tokenizerSha256 } from "#src/tokenizers/io.js";
import type { Tokenizer } from "#src/tokenizers/tokenizer.js";
import { toWellFormed, unusualTexts } from "../../support/unusual-texts.ts";

const test = suite("data/prepare");
const folder = fs.mkdtempSync(join(tmpdir(), "tinybard-prepare-"));
test.after(() => fs.rmSync(folder, { recursive: true }));

let count = 0;
const newPath = (name: string) => join(folder, `${count++}-${name}`);

/** Writes a file and returns its path. */
function write(name: string, content: string | Uint8Array): string {
  const file = newPath(name);
  fs.writeFileSync(file, content);
  return file;
}

const END = "<|endoftext|>";
const sentence = "The cat — café 😀 said: “thé”, 1234 times!\r\n\n\t 'tis  漢字 ";
const bpe = BPETokenizer.train(sentence.repeat(9), { vocabSize: 330, specialTokens: [END] });
const separator = bpe.vocabSize - 1;
const char = CharTokenizer.train(`${sentence}\n${unusualTexts.map(toWellFormed).join("")}`);

/** Prepares files, and returns the manifest and the tokens of both splits. */
async function prepare(options: Partial<PrepareOptions> & { files: string[] }) {
  const out = options.out ?? newPath("out");
  const manifest = await prepareShards({ tokenizer: bpe, workers: 0, ...options, out });
  const tokens: Record<Split, number[]> = { train: [], val: [] };
  for (const shard of manifest.shards) {
    const file = join(out, shard.file);
    const bytes = fs.readFileSync(file);
    assert.is(sha256OfFiles([file]), shard.sha256);
    const { dtype, offset, tokens: length } = parseFormat(file, bytes, bytes.length);
    assert.equal([dtype, length], [manifest.dtype, shard.tokens]);
    const List = dtype === "uint16" ? Uint16Array : Uint32Array;
    for (const token of new List(new Uint8Array(bytes.subarray(offset)).buffer))
      tokens[shard.split].push(token);
  }
  return { out, manifest, tokens };
}

const sum = (manifest: Manifest, split: Split, key: "tokens" | "bytes" | "documents") =>
  manifest.shards.reduce((total, shard) => total + (shard.split === split ? shard[key] : 0), 0);

/** Returns the content of all files of a folder but prepare.json, which has times. */
function readFolder(out: string): Record<string, string> {
  const names = fs.readdirSync(out).filter((name) => name !== "prepare.json");
  return Object.fromEntries(names.map((name) => [name, sha256OfFiles([join(out, name)])]));
}

test("one text is split by characters like splitText(), and encoded like the whole split", async () => {
  const text = toWellFormed(`${sentence}${unusualTexts.join("\n")}`).repeat(360);
  assert.ok(Buffer.byteLength(text) > 2 ** 21, "several pieces");
  const file = write("text.txt", text);
  const word = WordTokenizer.train(text, { vocabSize: 20 });
  for (const tokenizer of [bpe, char, word] as Tokenizer[]) {
    const { manifest, tokens, out } = await prepare({
      files: [file],
      tokenizer,
      shardTokens: 123457,
    });
    const { train, val } = splitTokens(text, tokenizer);
    assert.ok(
      Buffer.compare(
        Buffer.from(Int32Array.from(tokens.train).buffer),
        Buffer.from(train.buffer),
      ) === 0,
    );
    assert.ok(
      Buffer.compare(Buffer.from(Int32Array.from(tokens.val).buffer), Buffer.from(val.buffer)) ===
        0,
    );
    assert.is(
      sum(manifest, "train", "bytes") + sum(manifest, "val", "bytes"),
      Buffer.byteLength(text),
    );
    assert.equal([sum(manifest, "train", "documents"), sum(manifest, "val", "documents")], [1, 1]);
    for (const split of ["train", "val"] as const) {
      const sizes = manifest.shards.filter((shard) => shard.split === split);
      for (const { tokens } of sizes.slice(0, -1)) assert.is(tokens, 123457);
    }
    const own = loadTokenizer(join(out, "tokenizer.json"));
    assert.is(tokenizerSha256(own), manifest.tokenizerSha256);
    assert.equal(readManifest(out), { format: "tinybard-shards", version: 1, ...manifest });
    const other = await prepare({ files: [file], tokenizer, shardTokens: 123457, workers: 2 });
    assert.equal(readFolder(other.out), readFolder(out));
  }
});

/** The documents with these indices are validation, for a share of 0.1. */
const isVal = (index: number) => index % 10 === 4;
const documents = Array.from({ length: 47 }, (_, i) => `${i} ${sentence.slice(0, (i * 7) % 50)}`);

/** Returns the tokens of documents with a separator between them. */
function joinTokens(texts: string[]): number[] {
  return texts.flatMap((text, i) => [...(i > 0 ? [separator] : []), ...bpe.encode(text)]);
}

const expected = {
  train: joinTokens(documents.filter((_, i) => !isVal(i))),
  val: joinTokens(documents.filter((_, i) => isVal(i))),
};

test("documents of a text, JSON lines, gzip and many files have the same tokens", async () => {
  const separated = documents.join("<sep>");
  const lines = documents.map((text, id) => JSON.stringify({ id, text }));
  const inputs: [options: Partial<PrepareOptions> & { files: string[] }][] = [
    [{ files: [write("a.txt", separated)], documentSeparator: "<sep>" }],
    [{ files: [write("a.txt", `<sep>${separated}<sep><sep>`)], documentSeparator: "<sep>" }],
    [{ files: [write("a.txt.gz", gzipSync(separated))], documentSeparator: "<sep>" }],
    [{ files: [write("a.jsonl", lines.join("\n"))] }],
    [{ files: [write("a.jsonl", `\ufeff${lines.join("\r\n")}\r\n\r\n\n`)] }],
    [{ files: [write("a.ndjson.gz", gzipSync(`${lines.join("\n")}\n`))] }],
    [{ files: documents.map((text) => write("a.txt", text)) }],
    [
      {
        files: [
          write("a.jsonl", lines.slice(0, 9).join("\n")),
          ...documents.slice(9).map((text) => write("a.txt", text)),
        ],
      },
    ],
    [
      {
        files: [write("a.json", lines.map((line) => line.replace("text", "body")).join("\n"))],
        field: "body",
      },
    ],
  ];
  for (const [options] of inputs) {
    const { tokens, manifest } = await prepare({ ...options, shardTokens: 100 });
    assert.equal(tokens, expected, options.files[0]);
    assert.is(manifest.separator, separator);
    assert.is(sum(manifest, "train", "documents") + sum(manifest, "val", "documents"), 47);
    const bytes = sum(manifest, "train", "bytes") + sum(manifest, "val", "bytes");
    assert.is(bytes, Buffer.byteLength(documents.join("")));
  }
});

test("the bytes of a shard are those of its tokens", async () => {
  const { manifest, tokens } = await prepare({
    files: [write("a", "漢字 cat ".repeat(99))],
    shardTokens: 7,
    valShare: 0,
  });
  let begin = 0;
  for (const shard of manifest.shards) {
    const ids = tokens.train.slice(begin, begin + shard.tokens);
    const bytes = ids.reduce((total, id) => total + bpe.vocabulary.tokens[id].length, 0);
    assert.is(shard.bytes, bytes);
    begin += shard.tokens;
  }
  assert.is(sum(manifest, "train", "bytes"), 99 * 11);
});

test("without a token for it, a separator stays in the text, and lines of JSON end in one", async () => {
  const text = "ab\n\ncat\n\n\n1";
  const options = { tokenizer: char, valShare: 0 };
  const separated = await prepare({
    files: [write("a", text)],
    documentSeparator: "\n\n",
    ...options,
  });
  assert.is(char.decode(separated.tokens.train), text);
  assert.is(separated.manifest.separator, null);
  assert.is(sum(separated.manifest, "train", "documents"), 3);
  const lines = await prepare({
    files: [write("a.jsonl", '{"text":"ab"}\n{"text":"cat"}')],
    ...options,
  });
  assert.is(char.decode(lines.tokens.train), "ab\ncat\n");
  assert.is(sum(lines.manifest, "train", "bytes"), 7);
});

test("a vocabulary of more than 65,536 tokens has shards of 32 bits", async () => {
  const characters = Array.from({ length: 70_000 }, (_, i) => String.fromCodePoint(0x20000 + i));
  const tokenizer = new CharTokenizer(characters);
  const text = characters.join("");
  const { manifest, tokens } = await prepare({ files: [write("a", text)], tokenizer, valShare: 0 });
  assert.is(manifest.dtype, "uint32");
  assert.is(tokens.train.at(-1), 69_999);
  assert.is(tokens.train.length, 70_000);
});

test("tokenizers are trained on the training split, char on both; a sample is enough", async () => {
  const text = `${"low lower lowest ".repeat(500)}xyz`;
  const files = [write("a", text)];
  const { train } = { train: text.slice(0, Math.floor(0.9 * text.length)) };
  const trained: [PrepareOptions["tokenizer"], Tokenizer][] = [
    [
      { kind: "bpe", vocabSize: 262 },
      BPETokenizer.train(train, { vocabSize: 262, specialTokens: [END] }),
    ],
    [{ kind: "word", vocabSize: 6 }, WordTokenizer.train(train, { vocabSize: 6 })],
    [{ kind: "char" }, CharTokenizer.train(text)],
  ];
  for (const [tokenizer, expected] of trained) {
    const { out } = await prepare({ files, tokenizer });
    assert.equal(loadTokenizer(join(out, "tokenizer.json")).toJSON(), expected.toJSON());
  }
  // nine pieces, of which every third one is read
  const long = write("long", [..."abcdefghi"].map((x) => `${x}${x}\n`.repeat(349526)).join(""));
  const request = { kind: "bpe", vocabSize: 300 } as const;
  const sampled = await prepare({ files: [long], tokenizer: request, tokenizerSample: 3e6 });
  const { tokens } = (loadTokenizer(join(sampled.out, "tokenizer.json")) as BPETokenizer)
    .vocabulary;
  assert.equal(
    "aa bb dd ee gg hh".split(" ").filter((x) => tokens.includes(x)),
    ["aa", "dd", "gg"],
  );
});

test("a complete folder is kept; other arguments, changed input and foreign folders are refused", async () => {
  const file = write("a", "cat ".repeat(99));
  const first = await prepare({ files: [file] });
  const before = fs.statSync(join(first.out, "manifest.json")).mtimeMs;
  assert.equal((await prepare({ files: [file], out: first.out })).manifest, {
    ...first.manifest,
    ...readManifest(first.out),
  });
  assert.is(fs.statSync(join(first.out, "manifest.json")).mtimeMs, before);
  const { out } = first;
  const other = write("b", "cat");
  const empty = newPath("empty");
  fs.mkdirSync(empty);
  const foreign = newPath("foreign");
  fs.mkdirSync(foreign);
  fs.writeFileSync(join(foreign, "notes.txt"), "mine");
  const cases: [Partial<PrepareOptions>, RegExp][] = [
    [
      { shardTokens: 5 },
      /was begun with shardTokens 100000000 instead of 5; choose another folder/,
    ],
    [{ tokenizer: char }, /was begun with another tokenizer; choose/],
    [{ files: [file, file] }, /was begun with 1 files instead of 2/],
    [{ files: [other] }, /was begun with .*a instead of .*b/],
    [{ out: foreign }, /foreign is not empty; choose a new folder, or delete this one/],
    [{ out: file }, /is a file or inside of one, expected a folder/],
    [{ out: join(file, "x") }, /is a file or inside of one, expected a folder/],
  ];
  for (const [options, message] of cases) {
    const error = await getError({ files: [file], out, tokenizer: bpe, ...options });
    assert.match(error.message, message);
    assert.is(error.name, "UsageError");
  }
  assert.equal(fs.readdirSync(foreign), ["notes.txt"]);
  fs.writeFileSync(file, "dog ".repeat(99));
  const changed = await getError({ files: [file], out, tokenizer: bpe });
  assert.match(
    changed.message,
    /was begun before .*a was changed; choose another folder, or delete/,
  );
  assert.ok((await prepare({ files: [file], out: empty })).manifest.shards.length > 0);
});

async function getError(options: PrepareOptions): Promise<Error> {
  return prepareShards({ workers: 0, ...options }).then(
    () => assert.unreachable("no error") as never,
    (error) => error as Error,
  );
}

test("invalid input is an error that names the file and the place, and leaves no folder", async () => {
  const gzip = gzipSync("cat ".repeat(9999));
  const damaged = Buffer.from(gzip);
  damaged[40] ^= 0xff;
  const late = Buffer.concat([Buffer.from("é".repeat(1.5e6)), Buffer.from([0x61, 0xff, 0x61])]);
  const cases: [name: string, content: string | Uint8Array, message: RegExp, options?: object][] = [
    [
      "a.txt",
      Buffer.from([0x61, 0xc3, 0x28]),
      /a\.txt: not text in UTF-8: the byte at offset 1 is/,
    ],
    [
      "a.txt",
      Buffer.from([0x61, 0xe2, 0x82]),
      /a\.txt: not text in UTF-8: the byte at offset 2 is/,
    ],
    ["a.txt", late, /a\.txt: not text in UTF-8: the byte at offset 3,000,001 is invalid/],
    ["a.txt", Buffer.from("\ufeffcat", "utf16le"), /a\.txt: text in UTF-16, expected UTF-8/],
    ["a.txt", "", /the files have no text/],
    ["a.txt", "\ufeff", /the files have no text/],
    ["a.txt", "----", /the files have no text/, { documentSeparator: "--" }],
    ["a.gz", gzip.subarray(0, 60), /a\.gz: the gzip data are cut off/],
    ["a.gz", damaged, /a\.gz: the gzip data are damaged/],
    ["a.jsonl", '{"text":"a"}\n\n{"text":', /a\.jsonl:3: not valid JSON: "\{\\"text\\":"/],
    ["a.jsonl", '{"text":"a"}\n[1]', /a\.jsonl:2: not a JSON object: "\[1\]"/],
    [
      "a.jsonl",
      '{"text":"a"}\n{"body":"b"}',
      /a\.jsonl:2: no field "text"; choose .*--field: "body"/,
    ],
    ["a.jsonl", '{"text":7}', /a\.jsonl:1: field "text" is 7, expected a string/],
    ["a.jsonl", '{"text":null}', /a\.jsonl:1: field "text" is null, expected a string/],
    ["a.jsonl", Buffer.from([0x22, 0xff, 0x22]), /a\.jsonl: not text in UTF-8/],
    [
      "a.txt",
      "cat\u2603",
      /a\.txt: in the text from byte 3 on: encode: character "☃"/,
      { tokenizer: char },
    ],
    [
      "a.txt",
      " ".repeat(2 ** 24 + 9),
      /a\.txt: .*has a word, or a run of spaces or marks/,
      { valShare: 0 },
    ],
  ];
  for (const [name, content, message, options] of cases) {
    const file = write(name, content);
    for (const workers of name === "a.gz" || options ? [0, 1] : [0]) {
      const out = newPath("out");
      const error = await getError({ files: [file], out, tokenizer: bpe, workers, ...options });
      assert.match(error.message, message);
      assert.is(error.name, "FileError", error.message);
      assert.not(fs.existsSync(out), error.message);
    }
  }
  const missing = await getError({
    files: [join(folder, "x")],
    out: newPath("out"),
    tokenizer: bpe,
  });
  assert.match(missing.message, /x: no such file/);
  const isFolder = await getError({ files: [folder], out: newPath("out"), tokenizer: bpe });
  assert.match(isFolder.message, /: a folder, expected a file/);
});

test("invalid options are rejected", async () => {
  const options = { files: [write("a", "cat")], out: newPath("out"), tokenizer: bpe };
  for (const [invalid, message] of [
    [{ shardTokens: 0 }, /shardTokens is 0, expected a whole number from 1 to 2147483647/],
    [{ valShare: 1 }, /valShare is 1, expected a number from 0 to below 1/],
    [{ workers: 1.5 }, /workers is 1.5, expected a whole number from 0 up/],
    [{ files: [] }, /no files, expected at least one/],
    [{ documentSeparator: "" }, /documentSeparator is empty, expected a text/],
    [{ shards: 1 }, /prepareShards: unknown option shards/],
  ] as const)
    assert.match((await getError({ ...options, ...invalid })).message, message);
  assert.not(fs.existsSync(options.out));
});

test.run();
