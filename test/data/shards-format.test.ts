// The header of token shards and their manifest: what is accepted, and the error of each damage.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { encodeHeader, parseFormat, tokenDType } from "#src/data/shards/format.js";
import { type Manifest, readManifest, writeManifest } from "#src/data/shards/manifest.js";

const test = suite("shards-format");
const folder = mkdtempSync(join(tmpdir(), "tinybard-shards-"));
test.after(() => rmSync(folder, { recursive: true, force: true }));

/** Bytes of little-endian 32-bit integers, followed by zeros up to `size` bytes. */
function integers(values: number[], size = 4 * values.length, isLittle = true): Uint8Array {
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  values.forEach((value, i) => {
    view.setInt32(4 * i, value, isLittle);
  });
  return bytes;
}

const parse = (bytes: Uint8Array, allowsRaw = false) =>
  parseFormat("x.bin", bytes.subarray(0, 4096), bytes.length, { allowsRaw });

test("the headers of llm.c, and raw tokens of nanoGPT", () => {
  const gpt2 = { dtype: "uint16", offset: 1024, tokens: 5 } as const;
  assert.equal(parse(integers([20240520, 1, 5], 1024 + 10)), gpt2);
  const llama = { dtype: "uint32", offset: 1024, tokens: 5 } as const;
  assert.equal(parse(integers([20240801, 7, 5], 1024 + 20)), llama);
  for (const { dtype, tokens } of [gpt2, llama]) {
    const bytes = new Uint8Array(1024 + tokens * (dtype === "uint16" ? 2 : 4));
    bytes.set(encodeHeader(dtype, tokens));
    assert.is(parse(bytes).dtype, dtype);
  }
  assert.equal(parse(integers([50256, 1]), true), { dtype: "uint16", offset: 0, tokens: 4 });
  assert.is(tokenDType(65536), "uint16"); // the largest id is 65535
  assert.is(tokenDType(65537), "uint32");
});

test("damaged shards and other files", () => {
  const text = new TextEncoder().encode("To be, or not to be – that is the question:\n".repeat(99));
  const cases: [bytes: Uint8Array, message: RegExp][] = [
    [new Uint8Array(0), /^x\.bin: empty, expected tokens$/],
    [integers([20240520]), /has 4 bytes, expected a header of 1024: the file is cut off/],
    [integers([20240520, 2, 5], 1034), /version at offset 4 is 2, expected 1$/],
    [integers([20240801, 1, 5], 1044), /version at offset 4 is 1, expected 7$/],
    [integers([20240520, 1, -5], 1034), /tokens at offset 8 is -5/],
    [integers([20240520, 1, 5], 1033), /has 1033 bytes, expected 1034 .*: the file is cut off/],
    [integers([20240520, 1, 5], 1035), /has 1035 bytes, expected 1034 .*: the file is too long/],
    [integers([20240801, 7, 5], 1034), /has 1034 bytes, expected 1044/],
    [integers([20240522, 1, 5], 1034), /questions of an evaluation/],
    [integers([20240521, 1, 5], 1034), /magic number at offset 0 is 20240521, expected 20240520/],
    [integers([0, 7, 5], 1044), /magic number at offset 0 is 0, expected 20240801/],
    [integers([20240520, 1, 5], 1034, false), /big-endian/],
    [integers([7, 8, 9]), /number at offset 0 is 7, expected 20240520 or 20240801.*train\.bin/],
    [Uint8Array.of(7), /has 1 bytes, expected a header of 1024/],
    [text, /text, expected tokens/],
    [text.subarray(0, 45), /text, expected tokens/], // cut inside of a character
    [new TextEncoder().encode("PAR1\0\0\0\0PAR1"), /Parquet/],
    [Uint8Array.of(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59), /NumPy/],
    [Uint8Array.of(0x1f, 0x8b, 8, 0), /gzip/],
    [Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd), /zstd/],
    [Uint8Array.of(0x50, 0x4b, 3, 4), /ZIP/],
  ];
  for (const [bytes, message] of cases) assert.throws(() => parse(bytes), message);
  const raw: typeof cases = [
    [Uint8Array.of(1, 0, 2), /has 3 bytes, expected 16-bit tokens/],
    [integers([20240521, 1, 5], 1034), /magic number at offset 0/],
    [text, /text, expected tokens/],
    [new Uint8Array(0), /empty/],
  ];
  for (const [bytes, message] of raw) assert.throws(() => parse(bytes, true), message);
  assert.throws(() => encodeHeader("uint16", 2 ** 31), /expected 0 to 2147483647/);
});

test("manifests", () => {
  const sha256 = "0".repeat(64);
  const shard = { file: "a.bin", split: "train", tokens: 5, bytes: 9, documents: 1, sha256 };
  const manifest = {
    vocabSize: 9,
    tokenizerSha256: sha256,
    dtype: "uint16",
    separator: 8,
    shards: [shard],
  };
  const file = join(folder, "manifest.json");
  assert.is(readManifest(folder), null);
  writeManifest(folder, manifest as Manifest);
  const read = readManifest(folder);
  assert.equal({ ...read }, { format: "tinybard-shards", version: 1, ...manifest });

  const cases: [change: object, message: RegExp][] = [
    [{ version: 2 }, /version is 2, expected 1$/],
    [{ vocabSize: 0 }, /vocabSize is 0, expected a whole number above 0/],
    [{ vocabSize: "9" }, /vocabSize is "9"/],
    [{ tokenizerSha256: "x" }, /tokenizerSha256 is "x", expected a SHA-256/],
    [{ dtype: "int8" }, /dtype is "int8", expected uint16 or uint32/],
    [{ separator: 9 }, /separator is 9, expected a token below vocabSize, or null/],
    [{ separator: undefined }, /separator is missing, expected a token/],
    [{ shards: {} }, /shards is .*, expected a list/],
    [{ shards: [1] }, /shards\[0\] is not an object/],
    [{ shards: [shard, shard] }, /shards\[1\]\.file is "a\.bin" for the second time/],
    ...[
      { file: "../a.bin" },
      { file: ".." },
      { file: "" },
      { file: 1 },
      { split: "test" },
      { tokens: -1 },
      { tokens: 2 ** 31 },
      { tokens: 1.5 },
      { bytes: null },
      { documents: "1" },
      { sha256: "0" },
    ].map((change): [object, RegExp] => [
      { shards: [{ ...shard, ...change }] },
      new RegExp(`manifest\\.json: shards\\[0\\]\\.${Object.keys(change)[0]} is .*, expected`),
    ]),
  ];
  for (const [change, message] of cases) {
    writeFileSync(
      file,
      JSON.stringify({ format: "tinybard-shards", version: 1, ...manifest, ...change }),
    );
    assert.throws(() => readManifest(folder), message);
  }
  writeFileSync(file, "{");
  assert.throws(() => readManifest(folder), /manifest\.json: not valid JSON/);
  writeFileSync(file, `{ "name": "of another program" }`);
  assert.is(readManifest(folder), null);
});

test.run();
