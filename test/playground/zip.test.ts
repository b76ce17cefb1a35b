// Zip archives: round trips, archives of another program, and damage. SHA-256 against Node's.

import { createHash } from "node:crypto";
import { crc32, deflateRawSync } from "node:zlib";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { RunFiles } from "#src/playground/protocol.js";
import { sha256 } from "#src/playground/sha256.js";
import { readZip, writeZip, ZipError } from "#src/playground/zip.js";

const test = suite("playground/zip");
const encoder = new TextEncoder();
const files: RunFiles = new Map([
  ["config.json", encoder.encode("{}\n")],
  ["last/model.safetensors", Uint8Array.from({ length: 1000 }, (_, i) => (i * i) % 251)],
  ["größe.txt", encoder.encode("ü".repeat(300))],
  ["empty", new Uint8Array()],
]);

/** Returns the archive with one file that another program would write, compressed. */
function compress(
  name: string,
  content: Uint8Array,
  size = content.length,
): Uint8Array<ArrayBuffer> {
  const archive = writeZip(new Map([[name, new Uint8Array(deflateRawSync(content))]]));
  const view = new DataView(archive.buffer);
  const directory = view.getUint32(archive.length - 6, true);
  view.setUint16(8, 8, true);
  view.setUint16(directory + 10, 8, true);
  view.setUint32(directory + 16, crc32(content), true);
  view.setUint32(directory + 24, size, true);
  return archive;
}

test("files are the same after a round trip, and equal files make equal archives", async () => {
  const archive = writeZip(files);
  assert.equal(await readZip(archive), files);
  assert.equal(writeZip(files), archive);
  assert.equal(await readZip(writeZip(new Map())), new Map());
});

test("the archive may end with a comment, up to the longest one", async () => {
  for (const length of [1, 65_514, 65_515, 65_535]) {
    const archive = new Uint8Array([...writeZip(files), ...new Uint8Array(length).fill(32)]);
    new DataView(archive.buffer).setUint16(archive.length - length - 2, length, true);
    assert.equal(await readZip(archive), files, `${length} bytes`);
  }
});

test("compressed files are read, and a size that is not theirs is an error", async () => {
  const content = encoder.encode("to be, or not to be ".repeat(100));
  assert.equal(await readZip(compress("a.txt", content)), new Map([["a.txt", content]]));
  for (const size of [10, content.length - 1, content.length + 1]) {
    const error = await readZip(compress("a.txt", content, size)).catch((error) => error);
    assert.instance(error, ZipError, `size ${size}`);
  }
});

test("a damaged archive is a ZipError, wherever it is damaged", async () => {
  const archive = writeZip(files);
  for (let i = 0; i < archive.length; i += 7) {
    const cut = await readZip(archive.slice(0, i)).catch((error) => error);
    assert.instance(cut, ZipError, `cut at ${i}`);
    const damaged = archive.slice();
    damaged[i] ^= 0xff;
    const result = await readZip(damaged).catch((error) => error);
    // some fields do not matter, such as dates; names may change
    if (!(result instanceof ZipError)) assert.is(result.size, files.size, `damaged at ${i}`);
  }
});

test("sha256 equals that of Node for all lengths around a block", () => {
  for (let length = 0; length < 200; length++) {
    const text = "aé€\n".repeat(length).slice(0, length);
    assert.is(sha256(text), createHash("sha256").update(text).digest("hex"), text);
  }
});

test.run();
