// Texts that are encoded into the cache folder instead of the memory.

import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BPETokenizer, CharTokenizer, type Tokenizer } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { splitTokens } from "#src/data/batches.js";
import { isLargeText, openLargeText } from "#src/data/large-text.js";
import { isText, loadData } from "#src/data/load.js";
import type { TokenSource } from "#src/data/tokens.js";
import { lockFolder } from "#src/files/lock.js";
import { sha256 } from "#src/files/sha256.js";
import { findData } from "#src/runs/find-data.js";
import { tokenizerSha256 } from "#src/tokenizers/io.js";
import { listOpenFiles } from "../support/open-files.js";

const test = suite("large-text");
const root = mkdtempSync(join(tmpdir(), "tinybard-large-text-"));
const variable = process.platform === "win32" ? "LOCALAPPDATA" : "XDG_CACHE_HOME";
const previous = process.env[variable];
const cache = join(root, "cache");
process.env[variable] = cache;
test.after(() => {
  assert.equal(listOpenFiles(root), []);
  rmSync(root, { recursive: true, force: true });
  if (previous === undefined) delete process.env[variable];
  else process.env[variable] = previous;
});

const text = "Où est le chat? 😀 It sat on the mat, and the mat was flat.\n".repeat(300);
const file = join(root, "text.txt");
writeFileSync(file, text);

/** Returns all tokens of a split. */
function readAll(split: TokenSource): Int32Array {
  const ids = new Int32Array(split.length);
  split.read(0, ids.length, ids, 0);
  split.close?.();
  return ids;
}

/** Returns the name of the folder with the shards of the text. */
function shardsName(tokenizer: Tokenizer): string {
  return `${sha256(text).slice(0, 16)}-${tokenizerSha256(tokenizer).slice(0, 16)}`;
}

test("the tokens are those of the text in memory, and are found again", async () => {
  const char = CharTokenizer.train(text);
  const bpe = BPETokenizer.train(text, { vocabSize: 300 });
  for (const tokenizer of [char, bpe]) {
    let calls = 0;
    const opened = await openLargeText(file, tokenizer, () => calls++);
    assert.ok(calls > 0);
    assert.is(opened.sha256, sha256(text));
    assert.is(opened.name, file);
    const { train, val } = opened.open(tokenizer.vocabSize);
    const expected = splitTokens(text, tokenizer);
    assert.equal(readAll(train), expected.train);
    assert.equal(readAll(val), expected.val);
    await openLargeText(file, tokenizer, () => assert.unreachable("it is encoded again"));
  }
  const copy = join(root, "copy.txt");
  writeFileSync(copy, `\ufeff${text}`); // another file with the same text
  const moved = await openLargeText(copy, char, () => assert.unreachable("it is encoded again"));
  assert.is(moved.sha256, sha256(text));
});

test("a tokenizer that was trained on the text finds its shards", async () => {
  const request = { kind: "word", vocabSize: 12 } as const;
  const { tokenizer } = await openLargeText(file, request);
  if (!tokenizer) return assert.unreachable("no tokenizer");
  assert.is(tokenizer.vocabSize, 12);
  await openLargeText(file, tokenizer, () => assert.unreachable("it is encoded again"));
  const folders = readdirSync(join(cache, "tinybard", "shards"));
  assert.ok(folders.some((name) => name.endsWith("-word-12")));
});

test("a folder that is damaged, or was begun for another file, is made again", async () => {
  const tokenizer = CharTokenizer.train(text);
  await openLargeText(file, tokenizer);
  const folder = join(cache, "tinybard", "shards", shardsName(tokenizer));
  const shard = join(folder, "val_000000.bin");
  const good = readFileSync(shard);
  const changes = [
    () => truncateSync(shard, 1100),
    () => writeFileSync(join(folder, "manifest.json"), "{"),
    () => writeFileSync(join(folder, "prepare.json"), "garbage"),
    () => writeFileSync(join(folder, "train_000000.bin.partial"), "x"),
  ];
  for (const [i, change] of changes.entries()) {
    if (i >= 2) rmSync(join(folder, "manifest.json"));
    if (i === 3) utimesSync(file, new Date(), new Date(Date.now() + 60_000)); // touched
    change();
    const { train } = (await openLargeText(file, tokenizer)).open(tokenizer.vocabSize);
    assert.ok(train.length > 0);
    assert.equal(readFileSync(shard), good);
  }
});

test("a training waits while another one encodes the same text", async () => {
  const tokenizer = CharTokenizer.train(text);
  await openLargeText(file, tokenizer);
  const folder = join(cache, "tinybard", "shards", shardsName(tokenizer));
  rmSync(join(folder, "manifest.json"));
  const lock = lockFolder(folder);
  let phase = "";
  const opened = openLargeText(file, tokenizer, (progress) => {
    phase = progress.phase;
    if (phase === "waiting for another training") lock.release();
  });
  const { val } = (await opened).open(tokenizer.vocabSize);
  assert.is(phase, "encoding");
  assert.equal(readAll(val), splitTokens(text, tokenizer).val);

  rmSync(join(folder, "manifest.json"));
  const second = lockFolder(folder);
  const stop = new Error("stop");
  const error = await openLargeText(file, tokenizer, () => {
    second.release(); // nothing is damaged, so nothing may be deleted
    throw stop;
  }).catch((reason) => reason);
  assert.is(error, stop);
  assert.ok(readdirSync(folder).includes("val_000000.bin"));

  const both = [1, 2].map(() => openLargeText(file, tokenizer));
  const [one, other] = await Promise.all(both);
  assert.is(one.sha256, other.sha256);
});

test("without a writable cache folder, the shards are in the temporary one", async () => {
  const temporary = join(root, "temporary");
  mkdirSync(temporary);
  const names = ["TMPDIR", "TEMP", "TMP"] as const;
  const values = names.map((name) => process.env[name]);
  for (const name of names) process.env[name] = temporary;
  process.env[variable] = join(file, "cache"); // below a file: also root cannot create it
  try {
    const tokenizer = CharTokenizer.train(text);
    const { train } = (await openLargeText(file, { kind: "char" })).open(tokenizer.vocabSize);
    assert.equal(readAll(train), splitTokens(text, tokenizer).train);
    const [folder] = readdirSync(temporary);
    assert.match(folder, /^tinybard/);
    assert.equal(readdirSync(join(temporary, folder)), ["shards"]);
    await openLargeText(file, tokenizer, () => assert.unreachable("it is encoded again"));
    const getMode = (path: string) => statSync(path).mode & 0o077;
    if (process.platform !== "win32") assert.is(getMode(join(temporary, folder)), 0);
  } finally {
    process.env[variable] = cache;
    for (const [i, name] of names.entries()) {
      if (values[i] === undefined) delete process.env[name];
      else process.env[name] = values[i];
    }
  }
});

test("an error of the callback ends the search for the data of a run", async () => {
  const zeros = join(root, "zeros.txt");
  writeFileSync(zeros, "");
  truncateSync(zeros, 2 ** 26 + 1);
  const tokenizer = CharTokenizer.train("\0");
  const stop = new Error("stop");
  const onProgress = () => {
    throw stop;
  };
  const error = await findData("run", [zeros], "", tokenizer, onProgress).catch((reason) => reason);
  assert.is(error, stop);
});

test("an invalid text", async () => {
  const invalid = join(root, "invalid.txt");
  writeFileSync(invalid, Uint8Array.of(65, 0xff, 65));
  const error = await openLargeText(invalid, { kind: "char" }).then(
    () => null,
    (error: Error) => error,
  );
  assert.match(String(error?.message), /invalid\.txt: .*offset 1/);
});

test("files of more than 64 MiB are large", async () => {
  const large = join(root, "large.txt");
  writeFileSync(large, "x");
  truncateSync(large, 2 ** 26); // sparse
  assert.not.ok(isLargeText(large));
  truncateSync(large, 2 ** 26 + 1);
  assert.ok(isLargeText(large));
  mkdirSync(join(root, "folder"));
  assert.not.ok(isLargeText(join(root, "folder")));
  assert.not.ok(isLargeText("x".repeat(300))); // too long for a name
  const lines = join(root, "large.jsonl");
  writeFileSync(lines, "x");
  truncateSync(lines, 2 ** 26 + 1);
  assert.not.ok(isLargeText(lines));
  if (process.platform !== "win32") {
    const loop = join(root, "loop");
    symlinkSync(loop, loop);
    assert.not.ok(isLargeText(loop));
  }
  const data = await loadData(file, { kind: "char" });
  assert.ok(isText(data));
});

test.run();
