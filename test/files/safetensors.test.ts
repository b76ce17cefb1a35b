// Files that are read and written as they should be, byte for byte; and files that mean harm.

import { spawnSync } from "node:child_process";
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import os, { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { OutOfMemoryError, type Buffer as Values } from "#src/backend/device.js";
import { device, setDefaultDevice } from "#src/backend/devices.js";
import { syncFolder, writeSynced } from "#src/files/durable.js";
import {
  encodeSafetensors,
  loadSafetensors,
  readSafetensors,
  SafetensorsError,
  saveSafetensors,
  type TensorDict,
} from "#src/files/safetensors.js";
import { tensor } from "#src/ops/creation.js";
import { numel } from "#src/shape.js";
import type { Tensor } from "#src/tensor/tensor.js";
import { fixture } from "../support/support.js";

const test = suite("safetensors");
const folder = fs.mkdtempSync(join(tmpdir(), "tinybard-safetensors-"));
const file = join(folder, "x.safetensors");
test.before(() => setDefaultDevice("ts"));
test.after(() => fs.rmSync(folder, { recursive: true }));

/** A file in memory: a header's length, its text or bytes, and the data. */
function fileOf(header: string | Uint8Array, data: Iterable<number> = []): Uint8Array {
  const text = Buffer.from(header as string);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, Uint8Array.from(data)]);
}

/** A header from the names and fields of its tensors. */
function headerOf(
  fields: Record<string, [dtype: unknown, shape: unknown, place: unknown]>,
): string {
  const entries = Object.entries(fields).map(([name, [dtype, shape, data_offsets]]) => [
    name,
    { dtype, shape, data_offsets },
  ]);
  return JSON.stringify(Object.fromEntries(entries));
}

function load(bytes: Uint8Array): TensorDict {
  fs.writeFileSync(file, bytes);
  return loadSafetensors(file);
}

/** Loads the one tensor `x` of a file with these bytes as its data. */
function loadOne(dtype: string, shape: number[], data: Uint8Array): Tensor {
  return load(fileOf(headerOf({ x: [dtype, shape, [0, data.length]] }), data)).x;
}

function dictOf(...entries: [string, Tensor][]): TensorDict {
  const dict: TensorDict = Object.create(null);
  for (const [name, x] of entries) dict[name] = x;
  return dict;
}

function bytesOf(values: ArrayBufferView): Buffer {
  return Buffer.from(values.buffer, values.byteOffset, values.byteLength);
}

/** Asserts the same names, dtypes, shapes and bits: NaN and -0 too. */
function assertSame(actual: TensorDict, expected: TensorDict): void {
  assert.is(Object.getPrototypeOf(actual), null);
  assert.equal(Object.keys(actual).sort(), Object.keys(expected).sort());
  for (const [name, x] of Object.entries(expected)) {
    assert.is(actual[name].dtype, x.dtype, name);
    assert.equal(actual[name].shape, x.shape, name);
    assert.ok(bytesOf(actual[name].data()).equals(bytesOf(x.data())), name);
  }
}

/** Asserts that an action throws a SafetensorsError that names the file and the fault. */
function assertRefused(action: () => unknown, fault: RegExp, what: string, path = file): void {
  try {
    action();
  } catch (error) {
    assert.instance(error, SafetensorsError, `${what}: ${error}`);
    const { name, message } = error as Error;
    assert.is(name, "SafetensorsError");
    assert.ok(message.startsWith(`${path}: `), `${what}: ${message}`);
    assert.match(message.slice(path.length + 2), fault, `${what}: ${message}`);
    assert.ok(message.length < path.length + 200, `${what}: the message is long`);
    return;
  }
  assert.unreachable(`${what}: loaded`);
}

/** Runs fn while functions of Node's modules are replaced. */
function withPatched<T extends object>(module: T, patches: Partial<T>, fn: () => void): void {
  const keys = Object.keys(patches) as (keyof T)[];
  const originals = Object.fromEntries(keys.map((key) => [key, module[key]]));
  Object.assign(module, patches);
  syncBuiltinESMExports();
  try {
    fn();
  } finally {
    Object.assign(module, originals);
    syncBuiltinESMExports();
  }
}

// ---- what is written, and read again

test("round trip: every dtype, shape and name", () => {
  const dict = dictOf(
    [
      "f32",
      tensor([
        [1, -0, 1.5],
        [Number.NaN, Infinity, 2 ** -149],
      ]),
    ], // prettier in rows
    ["f64", tensor(Float64Array.of(Math.PI, -0, 5e-324, Number.NaN), { shape: [2, 2] })],
    ["i32", tensor(Int32Array.of(-(2 ** 31), 0, 2 ** 31 - 1))],
    ["scalar", tensor(7)],
    ["nothing", tensor([])],
    ["no rows", tensor(new Int32Array(0), { shape: [0, 3] })],
    ["no columns", tensor(new Float64Array(0), { shape: [3, 0] })],
    ["__proto__", tensor([1])],
    ["constructor", tensor([2])],
    ["", tensor([3])],
    ["10", tensor([4])],
    ["9", tensor([5])],
    ['a "quoted"\\\n\u0000{[:]}', tensor([6])],
    ['"{', tensor([6])],
    ["\\", tensor([6])],
    ["żółw 🐢 文\u2028", tensor([7])],
    ["\ud800", tensor([8])],
  );
  saveSafetensors(file, dict);
  assertSame(loadSafetensors(file), dict);
});

test("metadata: strings beside the tensors", () => {
  const metadata: Record<string, string> = JSON.parse('{"f":"pt","":"ü\\n","__proto__":"own"}');
  saveSafetensors(file, dictOf(["x", tensor([1])]), metadata);
  const read = readSafetensors(file);
  assert.is(Object.getPrototypeOf(read.metadata), null);
  assert.equal(Object.entries(read.metadata).sort(), Object.entries(metadata).sort());
  assert.equal(Object.keys(read.tensors), ["x"]);
  saveSafetensors(file, dictOf());
  assert.equal(Object.keys(readSafetensors(file).metadata), []);
});

test("the bytes of a file", () => {
  const b = tensor(Int32Array.of(1, -2));
  const a = tensor(Float32Array.of(1.5), { shape: [] });
  const chunks = encodeSafetensors(dictOf(["b", b], ["a", a]), { z: "2", k: "1" });
  const expected =
    "\x90\0\0\0\0\0\0\0" +
    '{"__metadata__":{"k":"1","z":"2"},' +
    '"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},' +
    '"b":{"dtype":"I32","shape":[2],"data_offsets":[4,12]}}    ' +
    "\0\0\xc0\x3f" +
    "\x01\0\0\0\xfe\xff\xff\xff";
  assert.is(Buffer.concat(chunks).toString("latin1"), expected);
  assert.equal(
    chunks.map((chunk) => chunk.length),
    [8 + 0x90, 4, 8],
  );
  assertSame(load(Buffer.from(expected, "latin1")), dictOf(["a", a], ["b", b]));
  assert.is(Buffer.concat(encodeSafetensors({})).toString("latin1"), "\x08\0\0\0\0\0\0\0{}      ");
  assert.equal(Object.keys(load(fileOf("{}"))), []);
});

test("equal dicts give equal bytes, whatever the order", () => {
  const [x, y] = [tensor([1, 2]), tensor(Float64Array.of(3))];
  const one = Buffer.concat(encodeSafetensors({ x, y, 2: y, 10: x }, { p: "1", q: "2" }));
  const two = Buffer.concat(encodeSafetensors({ 10: x, y, x, 2: y }, { q: "2", p: "1" }));
  assert.ok(one.equals(two));
});

test("the data begins at a multiple of eight, however long the header", () => {
  for (let n = 0; n < 9; n++) {
    const [header] = encodeSafetensors(dictOf(["x".repeat(n), tensor([1])]));
    assert.is(header.length % 8, 0);
    assert.is(Buffer.from(header).readBigUInt64LE(), BigInt(header.length - 8));
  }
});

test("a file of Hugging Face's transformers", () => {
  const { tensors, metadata } = readSafetensors(fixture("gpt2/model.safetensors"));
  assert.equal({ ...metadata }, { format: "pt" });
  assert.equal(tensors["transformer.h.0.attn.c_attn.weight"].shape, [64, 192]);
});

test("what cannot be written is refused, and no file made", () => {
  const target = join(folder, "never.safetensors");
  const x = tensor([1]);
  const save = (dict: TensorDict, metadata?: object) => () =>
    saveSafetensors(target, dict, metadata as Record<string, string>);
  assert.throws(save({ __metadata__: x }), /a tensor is named __metadata__/);
  assert.throws(save({ x }, { step: 5 }), /metadata has a value that is not a string/);
  assert.throws(save({ ["x".repeat(2 ** 24)]: x }), /header has more than 16777216 bytes/);
  assert.not(fs.existsSync(target) || fs.existsSync(`${target}.tmp`));
});

// ---- conversions

test("F16: every half", () => {
  const halves = Uint16Array.from({ length: 65536 }, (_, h) => h);
  const values = loadOne("F16", [2, 32768], new Uint8Array(halves.buffer)).data();
  const known: [number, number][] = [
    [0x0001, 2 ** -24],
    [0x03ff, 1023 / 2 ** 24],
    [0x0400, 2 ** -14],
    [0x3555, 1365 / 4096],
    [0x3c00, 1],
    [0xc000, -2],
    [0x7bff, 65504],
    [0x7c00, Infinity],
    [0xfc00, -Infinity],
    [0x8000, -0],
  ];
  for (const [h, value] of known) assert.ok(Object.is(values[h], value), `${h}: ${values[h]}`);
  for (let h = 0; h < 0x7bff; h++) {
    const step = 2 ** (Math.max(h >> 10, 1) - 25); // the last place of the numbers from h on
    assert.is(values[h + 1] - values[h], step);
    assert.is(values[h + 0x8000], -values[h]);
  }
  for (let h = 0x7c01; h <= 0x7fff; h++)
    assert.ok(
      [h, h + 0x8000].every((i) => Number.isNaN(values[i])),
      `${h}`,
    );
});

test("BF16: every bit pattern is the upper half of an f32", () => {
  const halves = Uint16Array.from({ length: 65536 }, (_, h) => h);
  const values = loadOne("BF16", [65536], new Uint8Array(halves.buffer)).data();
  assert.is(values[0x3f80], 1);
  assert.is(values[0xc000], -2);
  assert.is(values[0x0001], 2 ** -133);
  assert.ok(Object.is(values[0x8000], -0));
  assert.is(values[0xff80], -Infinity);
  const bits = new Uint32Array(values.buffer);
  for (let h = 0; h < 65536; h++) assert.is(bits[h], h * 65536);
});

test("integers and BOOL become i32", () => {
  const ends = [-(2 ** 31), -1, 0, 2 ** 31 - 1];
  const rows: [string, ArrayBufferView, number[]][] = [
    ["I64", BigInt64Array.from(ends.map(BigInt)), ends],
    ["I32", Int32Array.from(ends), ends],
    ["I16", Int16Array.of(-32768, -1, 32767), [-32768, -1, 32767]],
    ["I8", Int8Array.of(-128, -1, 127), [-128, -1, 127]],
    ["U64", BigUint64Array.of(0n, 2147483647n), [0, 2147483647]],
    ["U32", Uint32Array.of(0, 2147483647), [0, 2147483647]],
    ["U16", Uint16Array.of(0, 65535), [0, 65535]],
    ["U8", Uint8Array.of(0, 255), [0, 255]],
    ["BOOL", Uint8Array.of(0, 1, 1), [0, 1, 1]],
  ];
  for (const [dtype, values, expected] of rows) {
    const x = loadOne(dtype, [expected.length, 1], bytesOf(values));
    assert.is(x.dtype, "i32", dtype);
    assert.equal(x.shape, [expected.length, 1], dtype);
    assert.equal(Array.from(x.data()), expected, dtype);
  }
});

test("integers that i32 cannot hold are refused", () => {
  const rows: [string, ArrayBufferView, RegExp][] = [
    ["I64", BigInt64Array.of(0n, 2n ** 31n), /^tensor "x" has 2147483648, which i32 cannot hold$/],
    ["I64", BigInt64Array.of(-(2n ** 31n) - 1n), /has -2147483649, which/],
    ["I64", BigInt64Array.of(-(2n ** 63n)), /has -9223372036854775808, which/],
    ["U64", BigUint64Array.of(2n ** 32n), /has 4294967296, which/],
    ["U64", BigUint64Array.of(2n ** 64n - 1n), /has 18446744073709551615, which/],
    ["U32", Uint32Array.of(2 ** 31), /has 2147483648, which/],
  ];
  for (const [dtype, values, fault] of rows) {
    const shape = [values.byteLength / (dtype === "U32" ? 4 : 8)];
    assertRefused(() => loadOne(dtype, shape, bytesOf(values)), fault, dtype);
  }
});

test("tensors may lie at odd bytes and in any order, with spaces around", () => {
  const fields = { b: ["F64", [1], [1, 9]], e: ["F32", [0], [1, 1]], a: ["I8", [], [0, 1]] };
  const text = headerOf(fields as never).replaceAll(":", "\t:\r\n ");
  const data = [0xff, ...bytesOf(Float64Array.of(Math.E))];
  for (const padding of ["", " ", "   \n\t\r"]) {
    const { a, b, e } = load(fileOf(text + padding, data));
    assert.is(a.item(), -1);
    assert.is(b.item(), Math.E);
    assert.equal(e.shape, [0]);
  }
});

// ---- files that mean harm

const w = '"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}';
const four = [1, 2, 3, 4];

/** A file with one tensor `w`, sound but for what is said here. */
function wrong(said: { dtype?: unknown; shape?: unknown; place?: unknown }): Uint8Array {
  const { dtype = "U8", shape = [4], place = [0, 4] } = said;
  return fileOf(headerOf({ w: [dtype, shape, place] }), four);
}

/** A file whose header is this text, with four bytes of data. */
const raw = (header: string) => fileOf(header, four);

/** A file that says its header has so many bytes, and has `rest` behind that. */
function lengthOf(length: bigint, rest = "{}"): Uint8Array {
  const bytes = fileOf(rest);
  new DataView(bytes.buffer, bytes.byteOffset).setBigUint64(0, length, true);
  return bytes;
}

const hostile: { name: string; bytes: Uint8Array; fault: RegExp }[] = [
  // the length
  { name: "no bytes", bytes: Buffer.alloc(0), fault: /has 0 bytes, expected at least 8/ },
  { name: "seven bytes", bytes: Buffer.alloc(7), fault: /has 7 bytes, expected at least 8/ },
  { name: "no header", bytes: Buffer.alloc(8), fault: /header does not begin with \{/ },
  { name: "header past the end", bytes: lengthOf(3n), fault: /3 bytes, expected at most 2$/ },
  { name: "header of 2^63", bytes: lengthOf(2n ** 63n), fault: /\d+ bytes, expected at most 2$/ },
  { name: "header of 2^64 - 1", bytes: lengthOf(2n ** 64n - 1n), fault: /expected at most 2$/ },
  { name: "big-endian length", bytes: lengthOf(2n << 56n), fault: /expected at most 2$/ },
  {
    name: "header over 16 MB",
    bytes: fileOf(`{}${" ".repeat(2 ** 24 - 1)}`),
    fault: /header has 16777217 bytes, expected at most 16777216$/,
  },
  // the text
  { name: "not UTF-8", bytes: fileOf(Buffer.from('{"\xff":{}}', "latin1")), fault: /utf-?8/i },
  { name: "half a character", bytes: fileOf(Uint8Array.of(0x7b, 0xc3)), fault: /utf-?8/i },
  { name: "byte order mark", bytes: fileOf("\ufeff{}"), fault: /does not begin with \{/ },
  { name: "leading space", bytes: fileOf(" {}"), fault: /does not begin with \{/ },
  { name: "a list", bytes: fileOf("[]"), fault: /does not begin with \{/ },
  { name: "not closed", bytes: fileOf("{"), fault: /JSON/ },
  { name: "open string", bytes: raw('{"w'), fault: /JSON/ },
  { name: "open escape", bytes: raw('{"w\\'), fault: /JSON/ },
  { name: "bad escape in a key", bytes: raw('{"\\x":{}}'), fault: /JSON/ },
  { name: "no key", bytes: raw("{:{}}"), fault: /JSON/ },
  { name: "closed too often", bytes: raw(`{${w}}}`), fault: /JSON/ },
  { name: "trailing comma", bytes: raw(`{${w},}`), fault: /JSON/ },
  { name: "trailing zeros", bytes: raw(`{${w}}\0\0`), fault: /JSON/ },
  { name: "trailing text", bytes: raw(`{${w}} x`), fault: /JSON/ },
  { name: "trailing no-break space", bytes: raw(`{${w}}\u00a0`), fault: /JSON/ },
  { name: "a second header", bytes: raw(`{${w}}{${w}}`), fault: /JSON/ },
  // keys twice
  { name: "a tensor twice", bytes: raw(`{${w},${w}}`), fault: /has the key "w" twice/ },
  {
    name: "a tensor twice, once escaped",
    bytes: raw(`{${w},${w.replace("w", "\\u0077")}}`),
    fault: /has the key "w" twice/,
  },
  {
    name: "an empty tensor twice",
    bytes: fileOf('{"e":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"e":{}}'),
    fault: /has the key "e" twice/,
  },
  {
    name: "__proto__ twice",
    bytes: fileOf('{"__proto__":{},"__proto__":{}}'),
    fault: /has the key "__proto__" twice/,
  },
  {
    name: "two dtypes",
    bytes: raw(`{${w.replace('"U8"', '"F32","dtype":"U8"')}}`),
    fault: /has the key "dtype" twice/,
  },
  {
    name: "a key of the metadata twice",
    bytes: raw(`{"__metadata__":{"a":"1","a":"1"},${w}}`),
    fault: /has the key "a" twice/,
  },
  {
    name: "metadata twice",
    bytes: raw(`{"__metadata__":{},"__metadata__":{},${w}}`),
    fault: /has the key "__metadata__" twice/,
  },
  // metadata
  {
    name: "metadata null",
    bytes: raw(`{"__metadata__":null,${w}}`),
    fault: /__metadata__ is null/,
  },
  { name: "metadata text", bytes: raw(`{"__metadata__":"a",${w}}`), fault: /__metadata__ is "a"/ },
  { name: "metadata list", bytes: raw(`{"__metadata__":["a"],${w}}`), fault: /has a \[ where/ },
  {
    name: "metadata number",
    bytes: raw(`{"__metadata__":{"a":1},${w}}`),
    fault: /__metadata__ is \{"a":1\}, not all strings/,
  },
  {
    name: "metadata of metadata",
    bytes: raw(`{"__metadata__":{"a":{}},${w}}`),
    fault: /has a \{ where none may stand/,
  },
  // entries
  { name: "tensor null", bytes: fileOf('{"w":null}'), fault: /"w" is null, expected an object/ },
  { name: "tensor list", bytes: fileOf('{"w":[]}'), fault: /has a \[ where none may stand/ },
  { name: "tensor empty", bytes: fileOf('{"w":{}}'), fault: /"w" has dtype missing/ },
  {
    name: "no shape",
    bytes: raw(w.replace('"shape":[4],', "").replace(/.*/, "{$&}")),
    fault: /"w" has shape missing/,
  },
  {
    name: "no data_offsets",
    bytes: raw('{"w":{"dtype":"U8","shape":[4]}}'),
    fault: /"w" has data_offsets missing/,
  },
  {
    name: "a key too many",
    bytes: raw(`{${w.replace("}", ',"strides":[1]}')}}`),
    fault: /"w" has \{"strides":\[1\]\} beside dtype, shape, data_offsets/,
  },
  {
    name: "__proto__ in a tensor",
    bytes: raw(`{${w.replace("}", ',"__proto__":[1]}')}}`),
    fault: /"w" has \{"__proto__":\[1\]\} beside/,
  },
  // dtypes
  {
    name: "F8",
    bytes: wrong({ dtype: "F8_E4M3" }),
    fault: /"w" has dtype "F8_E4M3", which is unk/,
  },
  { name: "small letters", bytes: wrong({ dtype: "u8" }), fault: /dtype "u8", which is unknown/ },
  {
    name: "inherited",
    bytes: wrong({ dtype: "constructor" }),
    fault: /dtype "constructor", which/,
  },
  { name: "dtype __proto__", bytes: wrong({ dtype: "__proto__" }), fault: /dtype "__proto__"/ },
  { name: "dtype a number", bytes: wrong({ dtype: 8 }), fault: /dtype 8, which is unknown/ },
  { name: "dtype a list", bytes: wrong({ dtype: ["U8"] }), fault: /dtype \["U8"\], which/ },
  // shapes
  { name: "shape a number", bytes: wrong({ shape: 4 }), fault: /"w" has shape 4, expected whole/ },
  { name: "shape negative", bytes: wrong({ shape: [-4] }), fault: /shape \[-4\], expected whole/ },
  {
    name: "shape twice negative",
    bytes: wrong({ shape: [-2, -2] }),
    fault: /shape \[-2,-2\], exp/,
  },
  {
    name: "shape a fraction",
    bytes: wrong({ shape: [0.5, 8] }),
    fault: /shape \[0.5,8\], expected/,
  },
  { name: "shape a string", bytes: wrong({ shape: ["4"] }), fault: /shape \["4"\], expected/ },
  { name: "shape null", bytes: wrong({ shape: [null] }), fault: /shape \[null\], expected/ },
  { name: "shape nested", bytes: wrong({ shape: [[4]] }), fault: /has a \[ where none may stand/ },
  {
    name: "shape -0",
    bytes: raw(`{${w.replace("[4]", "[-0]")}}`),
    fault: /expected whole numbers/,
  },
  {
    name: "shape 2^53",
    bytes: wrong({ shape: [2 ** 53] }),
    fault: /expected whole numbers from 0/,
  },
  {
    name: "shape 1e999",
    bytes: raw(`{${w.replace("[4]", "[1e999]")}}`),
    fault: /expected whole n/,
  },
  {
    name: "shape beyond 2^53 by its product",
    bytes: wrong({ shape: [2 ** 32, 2 ** 32] }),
    fault: /too large to count/,
  },
  {
    name: "shape beyond 2^64: a product modulo 2^64 would be 4",
    bytes: wrong({ shape: [4, 2 ** 40 + 1, 2 ** 40 + 1] }),
    fault: /too large to count/,
  },
  {
    name: "shape beyond all floats, times 0",
    bytes: wrong({ shape: [...Array(30).fill(2 ** 52), 0], place: [0, 0] }),
    fault: /too large to count/,
  },
  {
    name: "bytes beyond 2^53",
    bytes: wrong({ dtype: "F64", shape: [2 ** 52] }),
    fault: /too large to count/,
  },
  // places
  { name: "place a number", bytes: wrong({ place: 4 }), fault: /"w" has data_offsets 4/ },
  { name: "one offset", bytes: wrong({ place: [4] }), fault: /"w" has data_offsets \[4\]/ },
  { name: "three offsets", bytes: wrong({ place: [0, 4, 4] }), fault: /data_offsets \[0,4,4\]/ },
  { name: "offsets negative", bytes: wrong({ place: [-4, 0] }), fault: /data_offsets \[-4,0\]/ },
  {
    name: "offsets strings",
    bytes: wrong({ place: ["0", "4"] }),
    fault: /data_offsets \["0","4"\]/,
  },
  { name: "offsets fractions", bytes: wrong({ place: [0.5, 4.5] }), fault: /offsets \[0.5,4.5\]/ },
  {
    name: "offsets beyond 2^53",
    bytes: wrong({ place: [0, 2 ** 53] }),
    fault: /data_offsets \[0,9/,
  },
  { name: "end before begin", bytes: wrong({ place: [4, 0] }), fault: /has -4 bytes, expected 4$/ },
  { name: "too few bytes", bytes: wrong({ place: [0, 3] }), fault: /has 3 bytes, expected 4$/ },
  { name: "too many bytes", bytes: wrong({ shape: [3] }), fault: /has 4 bytes, expected 3$/ },
  { name: "hole before", bytes: wrong({ place: [4, 8] }), fault: /begins at 4, expected 0$/ },
  { name: "hole after", bytes: wrong({ shape: [3], place: [0, 3] }), fault: /has 4 bytes of data/ },
  {
    name: "past the end",
    bytes: wrong({ shape: [5], place: [0, 5] }),
    fault: /^has 4 bytes of data, expected 5$/,
  },
  { name: "data of nothing", bytes: fileOf("{}", four), fault: /has 4 bytes of data, expected 0$/ },
  {
    name: "hole between",
    bytes: fileOf(headerOf({ a: ["U8", [1], [0, 1]], b: ["U8", [2], [2, 4]] }), four),
    fault: /tensor "b" begins at 2, expected 1$/,
  },
  {
    name: "overlap",
    bytes: fileOf(headerOf({ a: ["U8", [3], [0, 3]], b: ["U8", [2], [2, 4]] }), four),
    fault: /tensor "b" begins at 2, expected 3$/,
  },
  {
    name: "two in one place",
    bytes: fileOf(headerOf({ a: ["U8", [4], [0, 4]], b: ["I32", [1], [0, 4]] }), four),
    fault: /tensor "b" begins at 0, expected 4$/,
  },
  {
    name: "an empty one inside another",
    bytes: fileOf(headerOf({ a: ["U8", [4], [0, 4]], b: ["U8", [0], [2, 2]] }), four),
    fault: /tensor "b" begins at 2, expected 4$/,
  },
  // sizes that would cost memory or time
  {
    name: "2^40 elements",
    bytes: wrong({ shape: [2 ** 40] }),
    fault: /has 4 bytes, expected 10995/,
  },
  {
    name: "2^40 elements, with offsets to match",
    bytes: wrong({ dtype: "F32", shape: [2 ** 40], place: [0, 2 ** 42] }),
    fault: /^has 4 bytes of data, expected 4398046511104$/,
  },
  { name: "deep lists", bytes: raw(`{"w":${"[".repeat(2 ** 23)}`), fault: /has a \[ where none/ },
  { name: "deep objects", bytes: raw('{"":'.repeat(2 ** 21)), fault: /has a \{ where none/ },
  {
    name: "a long name",
    bytes: fileOf(`{"${"x".repeat(2 ** 23)}":{}}`),
    fault: /^tensor "x{59}\.\.\./,
  },
  {
    name: "a long escaped name",
    bytes: fileOf(`{"${"\\n".repeat(2 ** 22)}":{}}`),
    fault: /missing/,
  },
  { name: "quotes", bytes: raw(`{${'"'.repeat(2 ** 23)}`), fault: /JSON/ },
  {
    name: "a long shape",
    bytes: wrong({ shape: Array(2 ** 20).fill(9) }),
    fault: /too large to co/,
  },
];

test("each of the hostile files is refused, and for its own fault", () => {
  assert.ok(hostile.length >= 35);
  assert.is(new Set(hostile.map(({ name }) => name)).size, hostile.length);
  for (const { name, bytes, fault } of hostile) assertRefused(() => load(bytes), fault, name);
  assert.equal(Array.from(load(raw(`{${w}}`)).w.data()), four); // what they were made from is sound
});

test("what a file claims costs neither memory nor time", () => {
  const claims = hostile.filter(({ name }) => name.startsWith("2^40"));
  assert.is(claims.length, 2);
  const before = process.memoryUsage().arrayBuffers;
  const started = performance.now();
  for (const { name, bytes, fault } of claims) assertRefused(() => load(bytes), fault, name);
  assert.ok(performance.now() - started < 1000);
  assert.ok(process.memoryUsage().arrayBuffers - before < 1e6);
});

test("what is no file, or cannot be opened", () => {
  const missing = join(folder, "missing");
  assertRefused(() => loadSafetensors(missing), /ENOENT/, "missing", missing);
  assertRefused(() => loadSafetensors(folder), /is not a file|EISDIR|EPERM/, "a folder", folder);
  const pipe = join(folder, "pipe");
  if (process.platform !== "win32" && spawnSync("mkfifo", [pipe]).status === 0)
    assertRefused(() => loadSafetensors(pipe), /is not a file/, "a pipe", pipe);
});

test("property: a damaged file loads, or is refused", () => {
  const dict = dictOf(
    [
      "a",
      tensor([
        [1, 2],
        [3, 4],
      ]),
    ],
    ["b", tensor(Int32Array.of(1, 2, 3))],
    ["e", tensor([])],
  );
  const sound = Buffer.concat(encodeSafetensors(dict, { k: "v" }));
  const spot = fc.integer({ min: 0, max: sound.length - 1 });
  const flips = fc.array(fc.tuple(spot, fc.integer({ min: 1, max: 255 })), { maxLength: 4 });
  const cut = fc.option(spot, { nil: sound.length });
  const check = (changes: [number, number][], length: number) => {
    const bytes = Buffer.from(sound);
    for (const [at, mask] of changes) bytes[at] ^= mask;
    try {
      const read = load(bytes.subarray(0, length));
      for (const x of Object.values(read)) assert.is(x.data().length, numel(x.shape));
    } catch (error) {
      assert.instance(error, SafetensorsError, `${error}`);
    }
  };
  fc.assert(fc.property(flips, cut, check), { numRuns: 2000 });
  for (let at = 0; at < sound.length; at++) {
    const prefix = () => load(sound.subarray(0, at));
    assertRefused(prefix, /bytes/, `the first ${at} bytes`);
  }
});

test("property: any dict comes back", () => {
  const arrays = { f32: Float32Array, f64: Float64Array, i32: Int32Array };
  const units = fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 8 });
  const name = units.map((codes) => String.fromCharCode(...codes));
  const value = fc
    .record({
      dtype: fc.constantFrom("f32", "f64", "i32"),
      shape: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 }),
      bytes: fc.uint8Array({ minLength: 512, maxLength: 512 }),
    })
    .map(({ dtype, shape, bytes }): { values: Values; shape: number[] } => {
      const values = new arrays[dtype as keyof typeof arrays](bytes.slice().buffer);
      return { values: values.slice(0, numel(shape)), shape };
    });
  const names = fc.oneof(name, fc.constantFrom("__proto__", "toString", "0", "-1"));
  const pairs = fc.uniqueArray(fc.tuple(names, value), { selector: ([key]) => key, maxLength: 6 });
  const check = (entries: [string, { values: Values; shape: number[] }][]) => {
    const tensors = entries.map(([key, { values, shape }]): [string, Tensor] => [
      key,
      tensor(values, { shape }),
    ]);
    const dict = dictOf(...tensors);
    saveSafetensors(file, dict);
    assertSame(loadSafetensors(file), dict);
    const again = Buffer.concat(encodeSafetensors(dictOf(...tensors.reverse())));
    assert.ok(again.equals(fs.readFileSync(file)));
  };
  fc.assert(fc.property(pairs, check), { numRuns: 200 });
});

// ---- files that must survive

test("saving over a file replaces it and leaves nothing else", () => {
  const inside = join(folder, "replaced");
  fs.mkdirSync(inside);
  const target = join(inside, "x.safetensors");
  fs.writeFileSync(`${target}.tmp`, "x".repeat(1000)); // of a run that was killed
  for (const value of [1, 2]) {
    saveSafetensors(target, dictOf(["x", tensor([value])]));
    assert.is(loadSafetensors(target).x.item(), value);
    assert.equal(fs.readdirSync(inside), ["x.safetensors"]);
  }
});

test("the order of saving: write, sync, rename, sync the folder", () => {
  const target = join(folder, "ordered.safetensors");
  const log: string[] = [];
  const paths = new Map<number, string>();
  const { openSync, writeSync, fsyncSync, renameSync } = fs;
  const patches = {
    openSync: (path: string, ...rest: [number]) => {
      const fd = openSync(path, ...rest);
      paths.set(fd, path);
      return fd;
    },
    writeSync: (fd: number, ...rest: [Uint8Array, number, number]) => {
      log.push(`write ${paths.get(fd)}`);
      return writeSync(fd, ...rest);
    },
    fsyncSync: (fd: number) => {
      log.push(`sync ${paths.get(fd)}`);
      fsyncSync(fd);
    },
    renameSync: (from: string, to: string) => {
      log.push(`rename ${from} ${to}`);
      renameSync(from, to);
    },
  };
  withPatched(fs, patches as never, () => saveSafetensors(target, dictOf(["x", tensor([1])])));
  const tmp = `${target}.tmp`;
  const last = process.platform === "win32" ? [] : [`sync ${dirname(target)}`];
  const first = [`write ${tmp}`, `write ${tmp}`, `sync ${tmp}`, `rename ${tmp} ${target}`];
  assert.equal(log, [...first, ...last]);
});

test("a failed save leaves the old file, no other, and tells why", () => {
  const inside = join(folder, "full");
  fs.mkdirSync(inside);
  const target = join(inside, "x.safetensors");
  const save = (value: number) => () => saveSafetensors(target, dictOf(["x", tensor([value])]));
  save(1)();
  const full = new Error("ENOSPC: no space left on device");
  const refuse = () => {
    throw full;
  };
  const isFull = (error: unknown) => error === full;
  let writes = 0;
  const { writeSync } = fs;
  const writeOnce = (fd: number, bytes: Uint8Array) =>
    writes++ === 0 ? writeSync(fd, bytes, 0, 5) : refuse();
  for (const patch of [{ writeSync: writeOnce }, { fsyncSync: refuse }, { renameSync: refuse }]) {
    withPatched(fs, patch as never, () => assert.throws(save(2), isFull));
    assert.equal(fs.readdirSync(inside), ["x.safetensors"]);
    assert.is(loadSafetensors(target).x.item(), 1);
  }
  assert.is(writes, 2);
  assert.throws(() => saveSafetensors(inside, dictOf()), /EISDIR|ENOTEMPTY|EPERM|EEXIST/);
  assert.not(fs.existsSync(`${inside}.tmp`));
  fs.mkdirSync(`${target}.tmp`); // somebody's folder in the way stays
  assert.throws(save(2), /EISDIR|EPERM/);
  assert.ok(fs.existsSync(`${target}.tmp`));
});

test("writes and reads go on until all bytes are through", () => {
  const { readSync, writeSync } = fs;
  const x = tensor(Float64Array.from({ length: 20 }, (_, i) => i / 7));
  const few = (fd: number, bytes: Uint8Array, offset: number, length: number) =>
    writeSync(fd, bytes, offset, Math.min(length, 7));
  withPatched(fs, { writeSync: few as never }, () => saveSafetensors(file, { x }));
  const calls: number[] = [];
  const little = (fd: number, bytes: Uint8Array, offset: number, length: number, at: number) => {
    calls.push(at);
    return readSync(fd, bytes, offset, Math.min(length, 50), at);
  };
  withPatched(fs, { readSync: little as never }, () =>
    assertSame(loadSafetensors(file), dictOf(["x", x])),
  );
  assert.is(calls.length, 1 + 2 + 4); // 8, 64 and 160 bytes
});

test("a file that shrinks while it is read", () => {
  const { readSync } = fs;
  const bytes = raw(`{${w}}`);
  for (const left of [bytes.length - 1, bytes.length - 4, 20, 8]) {
    const shrink = (fd: number, ...rest: [Uint8Array, number, number, number]) => {
      if (rest[3] > 0) fs.truncateSync(file, left);
      return readSync(fd, ...rest);
    };
    const fault = new RegExp(`ends at byte ${left}: it shrank`);
    const action = () => assertRefused(() => load(bytes), fault, `${left} bytes left`);
    withPatched(fs, { readSync: shrink as never }, action);
  }
});

test("running out of memory is no fault of the file", () => {
  const { pool } = device("ts");
  const take = pool.take;
  pool.take = () => {
    throw new OutOfMemoryError("out of memory: 4.0 MB asked for");
  };
  try {
    assert.throws(
      () => load(raw(`{${w}}`)),
      (error: unknown) => error instanceof OutOfMemoryError,
    );
  } finally {
    pool.take = take;
  }
});

test("a big-endian machine is told so", () => {
  const bytes = raw(`{${w}}`);
  withPatched(os, { endianness: () => "BE" }, () => {
    assertRefused(() => load(bytes), /needs a little-endian machine/, "load");
    assert.throws(
      () => encodeSafetensors({}),
      (error: unknown) => error instanceof SafetensorsError,
    );
  });
});

test("writeSynced and syncFolder, for those who write several files", () => {
  const target = join(folder, "chunks");
  writeSynced(target, [Buffer.from("long ago and far"), Buffer.from(" away")]);
  writeSynced(target, [Buffer.from("ab"), new Uint8Array(0), Buffer.from("c")]);
  assert.is(fs.readFileSync(target, "utf8"), "abc");
  syncFolder(folder);
  if (process.platform !== "win32")
    assert.throws(() => syncFolder(join(folder, "missing")), /ENOENT/);
});

test.run();
