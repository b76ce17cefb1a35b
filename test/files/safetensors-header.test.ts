// Tests of the safetensors header: each kind of malicious file is rejected, without allocation.

import fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { setDefaultDevice } from "#src/backend/devices.js";
import { loadSafetensors, type TensorDict } from "#src/files/safetensors.js";
import { assertRejected, checkRejection, makeFile, makeHeader } from "../support/safetensors.js";

const test = suite("files/safetensors-header");
const folder = fs.mkdtempSync(join(tmpdir(), "tinybard-safetensors-header-"));
const file = join(folder, "x.safetensors");
test.before(() => setDefaultDevice("ts"));
test.after(() => fs.rmSync(folder, { recursive: true }));

function load(bytes: Uint8Array): TensorDict {
  fs.writeFileSync(file, bytes);
  return loadSafetensors(file);
}

const w = '"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}';
const four = [1, 2, 3, 4];

/** Returns a file with one tensor `w`, valid except for the given fields. */
function withFields(fields: { dtype?: unknown; shape?: unknown; offsets?: unknown }): Uint8Array {
  const { dtype = "U8", shape = [4], offsets = [0, 4] } = fields;
  return makeFile(makeHeader({ w: [dtype, shape, offsets] }), four);
}

/** Returns a file with the given header and four bytes of data. */
const withHeader = (header: string) => makeFile(header, four);

/** Returns a file that claims a header of `length` bytes, followed by `rest`. */
function withLength(length: bigint, rest = "{}"): Uint8Array {
  const bytes = makeFile(rest);
  new DataView(bytes.buffer, bytes.byteOffset).setBigUint64(0, length, true);
  return bytes;
}

const maliciousFiles: { name: string; bytes: Uint8Array; reason: RegExp }[] = [
  // the length
  { name: "an empty file", bytes: Buffer.alloc(0), reason: /has 0 bytes, expected at least 8/ },
  { name: "seven bytes", bytes: Buffer.alloc(7), reason: /has 7 bytes, expected at least 8/ },
  { name: "no header", bytes: Buffer.alloc(8), reason: /header does not begin with \{/ },
  { name: "header past the end", bytes: withLength(3n), reason: /3 bytes, expected at most 2$/ },
  {
    name: "header of 2^63",
    bytes: withLength(2n ** 63n),
    reason: /\d+ bytes, expected at most 2$/,
  },
  { name: "header of 2^64 - 1", bytes: withLength(2n ** 64n - 1n), reason: /expected at most 2$/ },
  { name: "big-endian length", bytes: withLength(2n << 56n), reason: /expected at most 2$/ },
  {
    name: "header over 16 MB",
    bytes: makeFile(`{}${" ".repeat(2 ** 24 - 1)}`),
    reason: /header has 16777217 bytes, expected at most 16777216$/,
  },
  // the text
  { name: "not UTF-8", bytes: makeFile(Buffer.from('{"\xff":{}}', "latin1")), reason: /utf-?8/i },
  { name: "a truncated character", bytes: makeFile(Uint8Array.of(0x7b, 0xc3)), reason: /utf-?8/i },
  { name: "byte order mark", bytes: makeFile("\ufeff{}"), reason: /does not begin with \{/ },
  { name: "leading space", bytes: makeFile(" {}"), reason: /does not begin with \{/ },
  { name: "a list", bytes: makeFile("[]"), reason: /does not begin with \{/ },
  { name: "not closed", bytes: makeFile("{"), reason: /JSON/ },
  { name: "open string", bytes: withHeader('{"w'), reason: /JSON/ },
  { name: "open escape", bytes: withHeader('{"w\\'), reason: /JSON/ },
  { name: "bad escape in a key", bytes: withHeader('{"\\x":{}}'), reason: /JSON/ },
  { name: "no key", bytes: withHeader("{:{}}"), reason: /JSON/ },
  { name: "an extra closing bracket", bytes: withHeader(`{${w}}}`), reason: /JSON/ },
  { name: "trailing comma", bytes: withHeader(`{${w},}`), reason: /JSON/ },
  { name: "trailing zeros", bytes: withHeader(`{${w}}\0\0`), reason: /JSON/ },
  { name: "trailing text", bytes: withHeader(`{${w}} x`), reason: /JSON/ },
  { name: "trailing no-break space", bytes: withHeader(`{${w}}\u00a0`), reason: /JSON/ },
  { name: "a second header", bytes: withHeader(`{${w}}{${w}}`), reason: /JSON/ },
  // keys twice
  { name: "a tensor twice", bytes: withHeader(`{${w},${w}}`), reason: /has the key "w" twice/ },
  {
    name: "a tensor twice, once escaped",
    bytes: withHeader(`{${w},${w.replace("w", "\\u0077")}}`),
    reason: /has the key "w" twice/,
  },
  {
    name: "an empty tensor twice",
    bytes: makeFile('{"e":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"e":{}}'),
    reason: /has the key "e" twice/,
  },
  {
    name: "__proto__ twice",
    bytes: makeFile('{"__proto__":{},"__proto__":{}}'),
    reason: /has the key "__proto__" twice/,
  },
  {
    name: "two dtypes",
    bytes: withHeader(`{${w.replace('"U8"', '"F32","dtype":"U8"')}}`),
    reason: /has the key "dtype" twice/,
  },
  {
    name: "a key of the metadata twice",
    bytes: withHeader(`{"__metadata__":{"a":"1","a":"1"},${w}}`),
    reason: /has the key "a" twice/,
  },
  {
    name: "metadata twice",
    bytes: withHeader(`{"__metadata__":{},"__metadata__":{},${w}}`),
    reason: /has the key "__metadata__" twice/,
  },
  // metadata
  {
    name: "metadata null",
    bytes: withHeader(`{"__metadata__":null,${w}}`),
    reason: /__metadata__ is null/,
  },
  {
    name: "metadata text",
    bytes: withHeader(`{"__metadata__":"a",${w}}`),
    reason: /__metadata__ is "a"/,
  },
  {
    name: "metadata list",
    bytes: withHeader(`{"__metadata__":["a"],${w}}`),
    reason: /has an unexpected \[/,
  },
  {
    name: "metadata number",
    bytes: withHeader(`{"__metadata__":{"a":1},${w}}`),
    reason: /__metadata__ is \{"a":1\}, expected only strings/,
  },
  {
    name: "metadata of metadata",
    bytes: withHeader(`{"__metadata__":{"a":{}},${w}}`),
    reason: /has an unexpected \{/,
  },
  // entries
  { name: "tensor null", bytes: makeFile('{"w":null}'), reason: /"w" is null, expected an object/ },
  { name: "tensor list", bytes: makeFile('{"w":[]}'), reason: /has an unexpected \[/ },
  { name: "tensor empty", bytes: makeFile('{"w":{}}'), reason: /"w" has dtype missing/ },
  {
    name: "no shape",
    bytes: withHeader(w.replace('"shape":[4],', "").replace(/.*/, "{$&}")),
    reason: /"w" has shape missing/,
  },
  {
    name: "no data_offsets",
    bytes: withHeader('{"w":{"dtype":"U8","shape":[4]}}'),
    reason: /"w" has data_offsets missing/,
  },
  {
    name: "an extra key",
    bytes: withHeader(`{${w.replace("}", ',"strides":[1]}')}}`),
    reason: /"w" has \{"strides":\[1\]\}, expected only dtype, shape, data_offsets/,
  },
  {
    name: "__proto__ in a tensor",
    bytes: withHeader(`{${w.replace("}", ',"__proto__":[1]}')}}`),
    reason: /"w" has \{"__proto__":\[1\]\}, expected only/,
  },
  // dtypes
  {
    name: "F8",
    bytes: withFields({ dtype: "F8_E4M3" }),
    reason: /"w" has dtype "F8_E4M3", which is not/,
  },
  {
    name: "lower case",
    bytes: withFields({ dtype: "u8" }),
    reason: /dtype "u8", which is not supported/,
  },
  {
    name: "an inherited property",
    bytes: withFields({ dtype: "constructor" }),
    reason: /dtype "constructor", which/,
  },
  {
    name: "dtype __proto__",
    bytes: withFields({ dtype: "__proto__" }),
    reason: /dtype "__proto__"/,
  },
  {
    name: "dtype a number",
    bytes: withFields({ dtype: 8 }),
    reason: /dtype 8, which is not supported/,
  },
  { name: "dtype a list", bytes: withFields({ dtype: ["U8"] }), reason: /dtype \["U8"\], which/ },
  // shapes
  {
    name: "shape a number",
    bytes: withFields({ shape: 4 }),
    reason: /"w" has shape 4, expected whole/,
  },
  {
    name: "shape negative",
    bytes: withFields({ shape: [-4] }),
    reason: /shape \[-4\], expected whole/,
  },
  {
    name: "shape twice negative",
    bytes: withFields({ shape: [-2, -2] }),
    reason: /shape \[-2,-2\], exp/,
  },
  {
    name: "shape a fraction",
    bytes: withFields({ shape: [0.5, 8] }),
    reason: /shape \[0.5,8\], expected/,
  },
  {
    name: "shape a string",
    bytes: withFields({ shape: ["4"] }),
    reason: /shape \["4"\], expected/,
  },
  { name: "shape null", bytes: withFields({ shape: [null] }), reason: /shape \[null\], expected/ },
  { name: "shape nested", bytes: withFields({ shape: [[4]] }), reason: /has an unexpected \[/ },
  {
    name: "shape -0",
    bytes: withHeader(`{${w.replace("[4]", "[-0]")}}`),
    reason: /expected whole numbers/,
  },
  {
    name: "shape 2^53",
    bytes: withFields({ shape: [2 ** 53] }),
    reason: /expected whole numbers from 0/,
  },
  {
    name: "shape 1e999",
    bytes: withHeader(`{${w.replace("[4]", "[1e999]")}}`),
    reason: /expected whole n/,
  },
  {
    name: "shape beyond 2^53 by its product",
    bytes: withFields({ shape: [2 ** 32, 2 ** 32] }),
    reason: /which is too large/,
  },
  {
    name: "shape beyond 2^64: a product modulo 2^64 would be 4",
    bytes: withFields({ shape: [4, 2 ** 40 + 1, 2 ** 40 + 1] }),
    reason: /which is too large/,
  },
  {
    name: "shape beyond all floats, times 0",
    bytes: withFields({ shape: [...Array(30).fill(2 ** 52), 0], offsets: [0, 0] }),
    reason: /which is too large/,
  },
  {
    name: "bytes beyond 2^53",
    bytes: withFields({ dtype: "F64", shape: [2 ** 52] }),
    reason: /which is too large/,
  },
  // offsets
  { name: "offsets a number", bytes: withFields({ offsets: 4 }), reason: /"w" has data_offsets 4/ },
  { name: "one offset", bytes: withFields({ offsets: [4] }), reason: /"w" has data_offsets \[4\]/ },
  {
    name: "three offsets",
    bytes: withFields({ offsets: [0, 4, 4] }),
    reason: /data_offsets \[0,4,4\]/,
  },
  {
    name: "offsets negative",
    bytes: withFields({ offsets: [-4, 0] }),
    reason: /data_offsets \[-4,0\]/,
  },
  {
    name: "offsets strings",
    bytes: withFields({ offsets: ["0", "4"] }),
    reason: /data_offsets \["0","4"\]/,
  },
  {
    name: "offsets fractions",
    bytes: withFields({ offsets: [0.5, 4.5] }),
    reason: /offsets \[0.5,4.5\]/,
  },
  {
    name: "offsets beyond 2^53",
    bytes: withFields({ offsets: [0, 2 ** 53] }),
    reason: /data_offsets \[0,9/,
  },
  {
    name: "end before begin",
    bytes: withFields({ offsets: [4, 0] }),
    reason: /has -4 bytes, expected 4$/,
  },
  {
    name: "too few bytes",
    bytes: withFields({ offsets: [0, 3] }),
    reason: /has 3 bytes, expected 4$/,
  },
  { name: "too many bytes", bytes: withFields({ shape: [3] }), reason: /has 4 bytes, expected 3$/ },
  {
    name: "gap before",
    bytes: withFields({ offsets: [4, 8] }),
    reason: /begins at 4, expected 0$/,
  },
  {
    name: "gap after",
    bytes: withFields({ shape: [3], offsets: [0, 3] }),
    reason: /has 4 bytes of data/,
  },
  {
    name: "past the end",
    bytes: withFields({ shape: [5], offsets: [0, 5] }),
    reason: /^has 4 bytes of data, expected 5$/,
  },
  {
    name: "data without tensors",
    bytes: makeFile("{}", four),
    reason: /has 4 bytes of data, expected 0$/,
  },
  {
    name: "gap between",
    bytes: makeFile(makeHeader({ a: ["U8", [1], [0, 1]], b: ["U8", [2], [2, 4]] }), four),
    reason: /tensor "b" begins at 2, expected 1$/,
  },
  {
    name: "overlap",
    bytes: makeFile(makeHeader({ a: ["U8", [3], [0, 3]], b: ["U8", [2], [2, 4]] }), four),
    reason: /tensor "b" begins at 2, expected 3$/,
  },
  {
    name: "two at the same offsets",
    bytes: makeFile(makeHeader({ a: ["U8", [4], [0, 4]], b: ["I32", [1], [0, 4]] }), four),
    reason: /tensor "b" begins at 0, expected 4$/,
  },
  {
    name: "an empty tensor inside another",
    bytes: makeFile(makeHeader({ a: ["U8", [4], [0, 4]], b: ["U8", [0], [2, 2]] }), four),
    reason: /tensor "b" begins at 2, expected 4$/,
  },
  // files that would cost memory or time
  {
    name: "2^40 elements",
    bytes: withFields({ shape: [2 ** 40] }),
    reason: /has 4 bytes, expected 10995/,
  },
  {
    name: "2^40 elements, with offsets to match",
    bytes: withFields({ dtype: "F32", shape: [2 ** 40], offsets: [0, 2 ** 42] }),
    reason: /^has 4 bytes of data, expected 4398046511104$/,
  },
  {
    name: "deep lists",
    bytes: withHeader(`{"w":${"[".repeat(2 ** 23)}`),
    reason: /has an unexpected \[/,
  },
  {
    name: "deep objects",
    bytes: withHeader('{"":'.repeat(2 ** 21)),
    reason: /has an unexpected \{/,
  },
  {
    name: "a long name",
    bytes: makeFile(`{"${"x".repeat(2 ** 23)}":{}}`),
    reason: /^tensor "x{59}\.\.\./,
  },
  {
    name: "a long escaped name",
    bytes: makeFile(`{"${"\\n".repeat(2 ** 22)}":{}}`),
    reason: /missing/,
  },
  { name: "quotes", bytes: withHeader(`{${'"'.repeat(2 ** 23)}`), reason: /JSON/ },
  {
    name: "a long shape",
    bytes: withFields({ shape: Array(2 ** 20).fill(9) }),
    reason: /which is too large/,
  },
];

test("each malicious file is rejected for the expected reason", () => {
  assert.ok(maliciousFiles.length >= 35);
  assert.is(new Set(maliciousFiles.map(({ name }) => name)).size, maliciousFiles.length);
  for (const { name, bytes, reason } of maliciousFiles)
    assertRejected(() => load(bytes), reason, name, file);
  // the file that they are derived from is valid
  assert.equal(Array.from(load(withHeader(`{${w}}`)).w.data()), four);
});

test("a malicious Blob is rejected for the same reason", async () => {
  for (const { name, bytes, reason } of maliciousFiles) {
    const error = await loadSafetensors(bytes).catch((error: unknown) => error);
    checkRejection(error, reason, name, "blob");
  }
});

test("claimed sizes cause no allocation", () => {
  const claims = maliciousFiles.filter(({ name }) => name.startsWith("2^40"));
  assert.is(claims.length, 2);
  const before = process.memoryUsage().arrayBuffers;
  const started = performance.now();
  for (const { name, bytes, reason } of claims)
    assertRejected(() => load(bytes), reason, name, file);
  assert.ok(performance.now() - started < 1000);
  assert.ok(process.memoryUsage().arrayBuffers - before < 1e6);
});

test.run();
