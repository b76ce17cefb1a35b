// Token shards on disk: those of llm.c and nanoGPT as Python writes them, which files --data names,
// and what happens if they are damaged or change.

import { spawnSync } from "node:child_process";
import {
  appendFileSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CharTokenizer } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { areShards, findShards } from "#src/data/shards/find.js";
import { encodeHeader } from "#src/data/shards/format.js";
import { writeManifest } from "#src/data/shards/manifest.js";
import { openShards } from "#src/data/shards/open.js";
import { ShardFile } from "#src/data/shards/shard-file.js";
import { TokenShards } from "#src/data/shards/token-shards.js";
import { sha256 } from "#src/files/sha256.js";
import { tokenizerSha256 } from "#src/tokenizers/io.js";
import { listOpenFiles } from "../support/open-files.js";

const test = suite("shards");
const root = mkdtempSync(join(tmpdir(), "tinybard-shards-"));
const opened: TokenShards[] = [];
test.after(() => {
  for (const split of opened) split.close();
  assert.equal(listOpenFiles(root), []);
  rmSync(root, { recursive: true, force: true });
});

let count = 0;

/** Creates an empty folder. */
function makeFolder(): string {
  const folder = join(root, `folder-${count++}`);
  mkdirSync(folder);
  return folder;
}

/** Returns the bytes of a shard of 16-bit tokens. */
function makeShard(ids: number[]): Uint8Array {
  const tokens = new Uint8Array(Uint16Array.from(ids).buffer);
  return Buffer.concat([encodeHeader("uint16", ids.length), tokens]);
}

/** Opens both splits of shards, which are closed at the end. */
function openSplits(data: string, vocabSize: number): { train: TokenShards; val: TokenShards } {
  const splits = openShards(data).open(vocabSize);
  opened.push(splits.train, splits.val);
  return splits;
}

/** Returns all tokens of an opened split. */
function readAll(split: { length: number; read(...args: unknown[]): void }): number[] {
  const ids = new Int32Array(split.length);
  split.read(0, ids.length, ids, 0);
  return [...ids];
}

/** Returns a folder of three training shards and one for validation. */
function makeShards(): string {
  const folder = makeFolder();
  writeFileSync(join(folder, "x_train_2.bin"), makeShard([3, 4]));
  writeFileSync(join(folder, "x_train_10.bin"), makeShard([5, 6, 7]));
  writeFileSync(join(folder, "x_train_1.bin"), makeShard([1, 2]));
  writeFileSync(join(folder, "x_val_1.bin"), makeShard([8, 9]));
  writeFileSync(join(folder, "notes.txt"), "not a shard");
  return folder;
}

const writers = {
  "llm.c, GPT-2": `
header = [20240520, 1, len(ids)] + [0] * 253
array("i", header).tofile(f)
array("H", ids).tofile(f)`,
  "llm.c, Llama 3": `
header = [20240801, 7, len(ids)] + [0] * 253
array("i", header).tofile(f)
array("I", ids).tofile(f)`,
  nanoGPT: `array("H", ids).tofile(f)`,
};

for (const [name, code] of Object.entries(writers)) {
  test(`shards that Python writes: ${name}`, () => {
    const folder = makeFolder();
    const isLlama = name.includes("Llama");
    const ids = [0, 1, 50256, isLlama ? 128000 : 5, 7];
    const prefix = name === "nanoGPT" ? "" : "fineweb_";
    const suffix = name === "nanoGPT" ? "" : "_000001";
    const program = `
from array import array
ids = ${JSON.stringify(ids)}
for split in ["train", "val"]:
  with open(f"${prefix}{split}${suffix}.bin", "wb") as f:
    ${code.trim().replaceAll("\n", "\n    ")}
    ids = ids[::-1]
`;
    const python = spawnSync("python3", ["-c", program], { cwd: folder, encoding: "utf8" });
    if (python.error) return console.log("skipped: shards that Python writes: no python3");
    assert.is(python.status, 0, python.stderr);
    const { train, val } = openSplits(folder, isLlama ? 128256 : 50257);
    assert.equal(readAll(train), ids);
    assert.equal(readAll(val), ids.reverse());
  });
}

test("a folder, a pattern, a file: the same shards, in the order of their numbers", () => {
  const folder = makeShards();
  for (const place of [folder, join(folder, "*.bin"), join(folder, "x_*_*.b?n")]) {
    assert.ok(areShards(place));
    const { train, val } = openSplits(place, 10);
    assert.equal(readAll(train), [1, 2, 3, 4, 5, 6, 7]);
    assert.equal(readAll(val), [8, 9]);
    assert.equal(train.parts, [2, 2, 3]);
    const ids = new Int32Array(5).fill(-1);
    train.read(1, 4, ids, 1); // in three shards
    assert.equal([...ids], [-1, 2, 3, 4, 5]);
    assert.throws(() => train.read(6, 2, ids, 0), /start is 6, expected 0 to 5/);
  }
  const single = openSplits(join(folder, "x_train_10.bin"), 10);
  assert.equal(readAll(single.train), [5, 6, 7]); // not its neighbors
  assert.equal(readAll(single.val), [8, 9]);

  const counterparts = [
    ["train_0.bin", "validation_0.bin"],
    ["training.bin", "valid.bin"],
    ["interval_train_3.bin", "interval_val_0.bin"],
  ];
  for (const names of counterparts) {
    const folder = makeFolder();
    for (const name of names) writeFileSync(join(folder, name), makeShard([1]));
    writeFileSync(join(folder, "tokenizer.json"), "{}");
    for (const name of [...names, "*"]) {
      const { train, val } = findShards(join(folder, name));
      assert.equal(
        [...train, ...val],
        names.map((name) => join(folder, name)),
      );
    }
  }

  const text = join(folder, "text.bin");
  writeFileSync(text, "To be, or not to be");
  assert.not.ok(areShards(text));
  assert.not.ok(areShards(join(folder, "notes.txt")));
  assert.not.ok(areShards(join(folder, "missing")));
  const named = join(folder, "x_val_shard"); // by its first bytes
  copyFileSync(join(folder, "x_val_1.bin"), named);
  assert.ok(areShards(named));
});

test("names that do not tell the split", () => {
  const files = (...names: string[]) => {
    const folder = makeFolder();
    for (const name of names) writeFileSync(join(folder, name), makeShard([1, 2]));
    return folder;
  };
  assert.throws(() => findShards(makeFolder()), /no token shards: .* has no \*\.bin files/);
  assert.throws(() => findShards(join(makeFolder(), "*.bin")), /no file matches .*\*\.bin/);
  assert.throws(() => findShards(files("train_1.bin")), /has no validation shards.*contains val$/);
  assert.throws(() => findShards(files("val_1.bin")), /has no training shards.*contains train$/);
  assert.throws(
    () => findShards(files("train.bin", "val.bin", "a.bin")),
    /a\.bin contains neither/,
  );
  assert.throws(() => findShards(files("train_val.bin", "val.bin")), /contains both/);
  const found = findShards(files("interval_train.bin", "training-validation.bin", "a_valid.bin"));
  assert.is(found.train.length, 1);
  assert.is(found.val.length, 2);
});

test("damaged shards, each with its own error", () => {
  const cases: [change: (folder: string) => void, message: RegExp][] = [
    [(f) => truncateSync(join(f, "x_train_1.bin"), 1000), /x_train_1\.bin: .* cut off/],
    [(f) => truncateSync(join(f, "x_train_1.bin"), 1027), /has 1027 bytes, expected 1028/],
    [(f) => appendFileSync(join(f, "x_val_1.bin"), "x"), /x_val_1\.bin: .* too long/],
    [(f) => writeFileSync(join(f, "x_val_1.bin"), ""), /x_val_1\.bin: empty/],
    [(f) => writeFileSync(join(f, "x_val_1.bin"), "\x01"), /has 1 bytes, expected a header/],
    [(f) => writeFileSync(join(f, "x_val_1.bin"), "text"), /x_val_1\.bin: text, expected tokens/],
    [(f) => mkdirSync(join(f, "y_val.bin")), /y_val\.bin: a folder, expected a file/],
    [
      (f) => writeFileSync(join(f, "y_val.bin"), Buffer.concat([encodeHeader("uint32", 0)])),
      /y_val\.bin has tokens of uint32, but .*x_train_1\.bin of uint16: .*different tokenizers/,
    ],
    [(f) => writeFileSync(join(f, "tokenizer.json"), "{"), /tokenizer\.json: not valid JSON/],
  ];
  for (const [change, message] of cases) {
    const folder = makeShards();
    change(folder);
    assert.throws(() => openShards(folder), message);
  }
});

test("32-bit tokens without a header", () => {
  const write = (tokens: { buffer: ArrayBuffer }) => {
    const folder = makeFolder();
    for (const split of ["train", "val"])
      writeFileSync(join(folder, `${split}.bin`), new Uint8Array(tokens.buffer));
    return folder;
  };
  const ids = Array.from({ length: 50 }, (_, i) => i);
  const message = /train\.bin: every second 16-bit number is 0, so the tokens have 32 or 64 bits/;
  assert.throws(() => openShards(write(Uint32Array.from(ids))), message);
  assert.throws(() => openShards(write(BigInt64Array.from(ids.map(BigInt)))), message);
  for (const valid of [ids, ids.fill(0)]) openShards(write(Uint16Array.from(valid)));
});

test("tokens outside the vocabulary, with file and offset", () => {
  const folder = makeShards();
  const anywhere = /x_train_10\.bin: the token at offset 1028 is 7, expected 0 to 6/;
  assert.throws(() => openSplits(folder, 7), anywhere);
  const files = (...names: string[]) => names.map((name) => new ShardFile(join(folder, name)));
  const train = new TokenShards(files("x_train_1.bin", "x_train_2.bin", "x_train_10.bin"), 7);
  const val = new TokenShards(files("x_val_1.bin"), 7);
  opened.push(train, val);
  const ids = new Int32Array(9);
  const message = /x_train_10\.bin: the token at offset 1028 is 7, expected 0 to 6/;
  assert.throws(() => train.read(0, 7, ids, 0), message);
  assert.throws(() => val.read(0, 2, ids, 0), /x_val_1\.bin: the token at offset 1024 is 8/);
});

test("shards that shrink, change or vanish while they are in use", () => {
  const later = new Date(Date.now() + 60_000);
  const cases: [change: (file: string) => void, message: RegExp][] = [
    [(file) => truncateSync(file, 1026), /ends at offset 1026, expected 1028 .*|has 1026 bytes/],
    [(file) => appendFileSync(file, "xx"), /has 1030 bytes, expected 1028: it was changed/],
    [(file) => utimesSync(file, later, later), /has other content: it was changed/],
    [(file) => rmSync(file), /x_train_1\.bin: no such file/],
  ];
  for (const [change, message] of cases) {
    const folder = makeShards();
    const { train } = openSplits(folder, 10);
    change(join(folder, "x_train_1.bin"));
    assert.throws(() => train.read(0, 2, new Int32Array(2), 0), message);
  }
  const folder = makeShards();
  const { train } = openSplits(folder, 10);
  train.read(0, 2, new Int32Array(2), 0); // open from now on
  truncateSync(join(folder, "x_train_1.bin"), 1026);
  const message = /x_train_1\.bin: (ends at offset 1026, expected 1028|has 1026 bytes)/;
  assert.throws(() => train.read(0, 2, new Int32Array(2), 0), message);
  truncateSync(join(folder, "x_train_1.bin"), 1000); // before the tokens that are read
  const beforeTokens = /x_train_1\.bin: (ends at offset 1000, expected 1028|has 1000 bytes)/;
  assert.throws(() => train.read(1, 1, new Int32Array(1), 0), beforeTokens);
});

test("more shards than files that may be open", () => {
  const folder = makeFolder();
  for (let i = 0; i < 100; i++) writeFileSync(join(folder, `train_${i}.bin`), makeShard([i]));
  writeFileSync(join(folder, "val.bin"), makeShard([0]));
  const { train } = openSplits(folder, 100);
  for (let pass = 0; pass < 2; pass++)
    assert.equal(
      readAll(train),
      Array.from({ length: 100 }, (_, i) => i),
    );
});

test("the manifest names the shards, and its checksums are compared", () => {
  const tokenizer = CharTokenizer.train("0123456789");
  const make = (change: object = {}, changeOfShard: object = {}) => {
    const folder = makeShards();
    writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(tokenizer));
    const entry = (file: string, split: "train" | "val", tokens: number) => ({
      file,
      split,
      tokens,
      bytes: tokens,
      documents: 1,
      sha256: sha256(readFileSync(join(folder, file))),
    });
    writeManifest(folder, {
      vocabSize: 10,
      tokenizerSha256: tokenizerSha256(tokenizer),
      dtype: "uint16",
      separator: null,
      shards: [
        { ...entry("x_train_10.bin", "train", 3), ...changeOfShard },
        entry("x_val_1.bin", "val", 2),
      ],
      ...change,
    });
    return folder;
  };
  const named = make();
  assert.equal(readAll(openSplits(named, 10).train), [5, 6, 7]); // not the files it does not name
  assert.is(openShards(named).tokenizer?.vocabSize, 10);
  const cases: [folder: string, message: RegExp][] = [
    [
      make({}, { tokens: 4 }),
      /x_train_10\.bin: the number of tokens is 3, but 4 in manifest\.json/,
    ],
    [
      make({}, { sha256: "0".repeat(64) }),
      /x_train_10\.bin: the SHA-256 is .*, but 0+ in manifest/,
    ],
    [make({}, { file: "x_train_11.bin" }), /x_train_11\.bin: no such file/],
    [make({}, { split: "val" }), /has no shards of split train/],
    [make({ dtype: "uint32" }), /the type of tokens is uint16, but uint32/],
    [make({ vocabSize: 11 }), /tokenizer\.json: has 10 tokens, but manifest\.json has 11/],
    [make({ tokenizerSha256: "0".repeat(64) }), /not the tokenizer that manifest\.json names/],
  ];
  for (const [folder, message] of cases) assert.throws(() => openShards(folder), message);
  const folder = make();
  rmSync(join(folder, "tokenizer.json"));
  assert.throws(
    () => openShards(folder),
    /tokenizer\.json: no such file, but manifest\.json names/,
  );
});

test("the checksum identifies the content, not the place", () => {
  const folder = makeShards();
  const { sha256 } = openShards(folder);
  assert.is(openShards(makeShards()).sha256, sha256);
  assert.is(openShards(join(folder, "*.bin")).sha256, sha256);
  writeFileSync(join(folder, "x_train_1.bin"), makeShard([1, 3]));
  assert.not.equal(openShards(folder).sha256, sha256);
  const large = Array.from({ length: 2 ** 18 }, (_, i) => i % 10);
  writeFileSync(join(folder, "x_train_1.bin"), makeShard(large));
  const before = openShards(folder).sha256;
  large[2 ** 17]++; // in the middle
  writeFileSync(join(folder, "x_train_1.bin"), makeShard(large));
  assert.not.equal(openShards(folder).sha256, before);
});

test.run();
