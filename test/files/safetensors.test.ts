// Tests of safetensors files: the exact bytes, conversions, and durable writes.

import { execFileSync } from "node:child_process";
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { OutOfMemoryError, type Buffer as Values } from "#src/backend/device.js";
import { device, setDefaultDevice } from "#src/backend/devices.js";
import { syncFolder, writeSynced } from "#src/files/durable.js";
import { FileError } from "#src/files/file-error.js";
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
import { fixturePath } from "../support/harness.js";
import { canTestPipes } from "../support/platform.js";
import { assertRejected, makeFile, makeHeader } from "../support/safetensors.js";

const test = suite("files/safetensors");
const folder = fs.mkdtempSync(join(tmpdir(), "tinybard-safetensors-"));
const file = join(folder, "x.safetensors");
test.before(() => setDefaultDevice("ts"));
test.after(() => fs.rmSync(folder, { recursive: true }));

/** A file with one tensor w of four bytes. */
const validFile = makeFile(makeHeader({ w: ["U8", [4], [0, 4]] }), [1, 2, 3, 4]);

function load(bytes: Uint8Array): TensorDict {
  fs.writeFileSync(file, bytes);
  return loadSafetensors(file);
}

/** Loads a file that has a single tensor x with the given data. */
function loadOne(dtype: string, shape: number[], data: Uint8Array): Tensor {
  return load(makeFile(makeHeader({ x: [dtype, shape, [0, data.length]] }), data)).x;
}

function makeDict(...entries: [string, Tensor][]): TensorDict {
  const dict: TensorDict = Object.create(null);
  for (const [name, x] of entries) dict[name] = x;
  return dict;
}

function toBuffer(values: ArrayBufferView): Buffer {
  return Buffer.from(values.buffer, values.byteOffset, values.byteLength);
}

/** Asserts equal names, dtypes, shapes and bits (also of NaN and -0). */
function assertSame(actual: TensorDict, expected: TensorDict): void {
  assert.is(Object.getPrototypeOf(actual), null);
  assert.equal(Object.keys(actual).sort(), Object.keys(expected).sort());
  for (const [name, x] of Object.entries(expected)) {
    assert.is(actual[name].dtype, x.dtype, name);
    assert.equal(actual[name].shape, x.shape, name);
    assert.ok(toBuffer(actual[name].data()).equals(toBuffer(x.data())), name);
  }
}

/** Runs fn with properties of an object or functions of a Node module replaced. */
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

// ---- round trips

test("round trip: every dtype, shape and name", () => {
  const dict = makeDict(
    [
      "f32",
      tensor([
        [1, -0, 1.5],
        [Number.NaN, Infinity, 2 ** -149],
      ]),
    ],
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

test("metadata round trip", () => {
  const metadata: Record<string, string> = JSON.parse('{"f":"pt","":"ü\\n","__proto__":"own"}');
  saveSafetensors(file, makeDict(["x", tensor([1])]), metadata);
  const read = readSafetensors(file);
  assert.is(Object.getPrototypeOf(read.metadata), null);
  assert.equal(Object.entries(read.metadata).sort(), Object.entries(metadata).sort());
  assert.equal(Object.keys(read.tensors), ["x"]);
  saveSafetensors(file, makeDict());
  assert.equal(Object.keys(readSafetensors(file).metadata), []);
});

test("the exact bytes of a file", () => {
  const b = tensor(Int32Array.of(1, -2));
  const a = tensor(Float32Array.of(1.5), { shape: [] });
  const chunks = encodeSafetensors(makeDict(["b", b], ["a", a]), { z: "2", k: "1" });
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
  assertSame(load(Buffer.from(expected, "latin1")), makeDict(["a", a], ["b", b]));
  assert.is(Buffer.concat(encodeSafetensors({})).toString("latin1"), "\x08\0\0\0\0\0\0\0{}      ");
  assert.equal(Object.keys(load(makeFile("{}"))), []);
});

test("equal dicts have equal bytes in any insertion order", () => {
  const [x, y] = [tensor([1, 2]), tensor(Float64Array.of(3))];
  const one = Buffer.concat(encodeSafetensors({ x, y, 2: y, 10: x }, { p: "1", q: "2" }));
  const two = Buffer.concat(encodeSafetensors({ 10: x, y, x, 2: y }, { q: "2", p: "1" }));
  assert.ok(one.equals(two));
});

test("the data begins at a multiple of 8 bytes for any header length", () => {
  for (let n = 0; n < 9; n++) {
    const [header] = encodeSafetensors(makeDict(["x".repeat(n), tensor([1])]));
    assert.is(header.length % 8, 0);
    assert.is(Buffer.from(header).readBigUInt64LE(), BigInt(header.length - 8));
  }
});

test("a file written by Hugging Face transformers", () => {
  const { tensors, metadata } = readSafetensors(fixturePath("gpt2/model.safetensors"));
  assert.equal({ ...metadata }, { format: "pt" });
  assert.equal(tensors["transformer.h.0.attn.c_attn.weight"].shape, [64, 192]);
});

test("invalid arguments are rejected, and no file is created", () => {
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

test("F16: all values", () => {
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
    const step = 2 ** (Math.max(h >> 10, 1) - 25); // the spacing of the values at h
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
    const x = loadOne(dtype, [expected.length, 1], toBuffer(values));
    assert.is(x.dtype, "i32", dtype);
    assert.equal(x.shape, [expected.length, 1], dtype);
    assert.equal(Array.from(x.data()), expected, dtype);
  }
});

test("integers outside the range of i32 are rejected", () => {
  const rows: [string, ArrayBufferView, RegExp][] = [
    [
      "I64",
      BigInt64Array.of(0n, 2n ** 31n),
      /^tensor "x" has 2147483648, which does not fit in i32$/,
    ],
    ["I64", BigInt64Array.of(-(2n ** 31n) - 1n), /has -2147483649, which/],
    ["I64", BigInt64Array.of(-(2n ** 63n)), /has -9223372036854775808, which/],
    ["U64", BigUint64Array.of(2n ** 32n), /has 4294967296, which/],
    ["U64", BigUint64Array.of(2n ** 64n - 1n), /has 18446744073709551615, which/],
    ["U32", Uint32Array.of(2 ** 31), /has 2147483648, which/],
  ];
  for (const [dtype, values, reason] of rows) {
    const shape = [values.byteLength / (dtype === "U32" ? 4 : 8)];
    assertRejected(() => loadOne(dtype, shape, toBuffer(values)), reason, dtype, file);
  }
});

test("tensors may be unaligned and in any order; the header may have white space", () => {
  const fields = { b: ["F64", [1], [1, 9]], e: ["F32", [0], [1, 1]], a: ["I8", [], [0, 1]] };
  const text = makeHeader(fields as never).replaceAll(":", "\t:\r\n ");
  const data = [0xff, ...toBuffer(Float64Array.of(Math.E))];
  for (const padding of ["", " ", "   \n\t\r"]) {
    const { a, b, e } = load(makeFile(text + padding, data));
    assert.is(a.item(), -1);
    assert.is(b.item(), Math.E);
    assert.equal(e.shape, [0]);
  }
});

// ---- invalid files

test("paths that are not files or cannot be opened", () => {
  const missing = join(folder, "missing");
  assertRejected(() => loadSafetensors(missing), /ENOENT/, "missing", missing);
  assertRejected(
    () => loadSafetensors(folder),
    /a folder, expected a file|EPERM/,
    "a folder",
    folder,
  );
  const pipe = join(folder, "pipe");
  if (canTestPipes("a pipe in place of a safetensors file")) {
    execFileSync("mkfifo", [pipe]);
    assertRejected(() => loadSafetensors(pipe), /a pipe, expected a file/, "a pipe", pipe);
  }
});

test("property: a corrupted file loads or is rejected", () => {
  const dict = makeDict(
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
  const valid = Buffer.concat(encodeSafetensors(dict, { k: "v" }));
  const position = fc.integer({ min: 0, max: valid.length - 1 });
  const flips = fc.array(fc.tuple(position, fc.integer({ min: 1, max: 255 })), { maxLength: 4 });
  const length = fc.option(position, { nil: valid.length });
  const check = (changes: [number, number][], length: number) => {
    const bytes = Buffer.from(valid);
    for (const [at, mask] of changes) bytes[at] ^= mask;
    try {
      const read = load(bytes.subarray(0, length));
      for (const x of Object.values(read)) assert.is(x.data().length, numel(x.shape));
    } catch (error) {
      assert.instance(error, SafetensorsError, `${error}`);
    }
  };
  fc.assert(fc.property(flips, length, check), { numRuns: 2000 });
  for (let at = 0; at < valid.length; at++) {
    const prefix = () => load(valid.subarray(0, at));
    assertRejected(prefix, /bytes/, `the first ${at} bytes`, file);
  }
});

test("property: any dict survives a round trip", () => {
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
    const dict = makeDict(...tensors);
    saveSafetensors(file, dict);
    assertSame(loadSafetensors(file), dict);
    const again = Buffer.concat(encodeSafetensors(makeDict(...tensors.reverse())));
    assert.ok(again.equals(fs.readFileSync(file)));
  };
  fc.assert(fc.property(pairs, check), { numRuns: 200 });
});

// ---- durable writes

test("saving over a file replaces it and leaves nothing else", () => {
  const inside = join(folder, "replaced");
  fs.mkdirSync(inside);
  const target = join(inside, "x.safetensors");
  fs.writeFileSync(`${target}.tmp`, "x".repeat(1000)); // left by a killed process
  for (const value of [1, 2]) {
    saveSafetensors(target, makeDict(["x", tensor([value])]));
    assert.is(loadSafetensors(target).x.item(), value);
    assert.equal(fs.readdirSync(inside), ["x.safetensors"]);
  }
});

test("saving writes, syncs, renames, and syncs the folder, in this order", () => {
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
  withPatched(fs, patches as never, () => saveSafetensors(target, makeDict(["x", tensor([1])])));
  const tmp = `${target}.tmp`;
  const last = process.platform === "win32" ? [] : [`sync ${dirname(target)}`];
  const first = [`write ${tmp}`, `write ${tmp}`, `sync ${tmp}`, `rename ${tmp} ${target}`];
  assert.equal(log, [...first, ...last]);
});

test("a failed save keeps the old file, leaves no other, and throws the cause", () => {
  const inside = join(folder, "full");
  fs.mkdirSync(inside);
  const target = join(inside, "x.safetensors");
  const save = (value: number) => () => saveSafetensors(target, makeDict(["x", tensor([value])]));
  save(1)();
  const diskFull = new Error("ENOSPC: no space left on device");
  const failDiskFull = () => {
    throw diskFull;
  };
  const isDiskFull = (error: unknown) =>
    error instanceof FileError &&
    error.cause === diskFull &&
    error.message.startsWith(target) &&
    error.message.includes("ENOSPC");
  let writes = 0;
  const { writeSync } = fs;
  const writeOnce = (fd: number, bytes: Uint8Array) =>
    writes++ === 0 ? writeSync(fd, bytes, 0, 5) : failDiskFull();
  for (const patch of [
    { writeSync: writeOnce },
    { fsyncSync: failDiskFull },
    { renameSync: failDiskFull },
  ]) {
    withPatched(fs, patch as never, () => assert.throws(save(2), isDiskFull));
    assert.equal(fs.readdirSync(inside), ["x.safetensors"]);
    assert.is(loadSafetensors(target).x.item(), 1);
  }
  assert.is(writes, 2);
  assert.throws(() => saveSafetensors(inside, makeDict()), /EISDIR|ENOTEMPTY|EPERM|EEXIST/);
  assert.not(fs.existsSync(`${inside}.tmp`));
  fs.mkdirSync(`${target}.tmp`); // an unrelated folder is kept
  assert.throws(save(2), /EISDIR|EPERM/);
  assert.ok(fs.existsSync(`${target}.tmp`));
});

test("partial writes and reads are continued", () => {
  const { readSync, writeSync } = fs;
  const x = tensor(Float64Array.from({ length: 20 }, (_, i) => i / 7));
  const writePartially = (fd: number, bytes: Uint8Array, offset: number, length: number) =>
    writeSync(fd, bytes, offset, Math.min(length, 7));
  withPatched(fs, { writeSync: writePartially as never }, () => saveSafetensors(file, { x }));
  const calls: number[] = [];
  const readPartially = (
    fd: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
    at: number,
  ) => {
    calls.push(at);
    return readSync(fd, bytes, offset, Math.min(length, 50), at);
  };
  withPatched(fs, { readSync: readPartially as never }, () =>
    assertSame(loadSafetensors(file), makeDict(["x", x])),
  );
  assert.is(calls.length, 1 + 2 + 4); // 8, 64 and 160 bytes
});

test("a file that is truncated while being read", () => {
  const { readSync } = fs;
  const bytes = validFile;
  for (const left of [bytes.length - 1, bytes.length - 4, 20, 8]) {
    const shrink = (fd: number, ...rest: [Uint8Array, number, number, number]) => {
      if (rest[3] > 0) fs.truncateSync(file, left);
      return readSync(fd, ...rest);
    };
    const reason = new RegExp(`ends at byte ${left}: it was truncated`);
    const action = () => assertRejected(() => load(bytes), reason, `${left} bytes left`, file);
    withPatched(fs, { readSync: shrink as never }, action);
  }
});

test("running out of memory is not reported as an invalid file", () => {
  const { pool } = device("ts");
  const take = pool.take;
  pool.take = () => {
    throw new OutOfMemoryError("out of memory: 4.0 MB requested");
  };
  try {
    assert.throws(
      () => load(validFile),
      (error: unknown) => error instanceof OutOfMemoryError,
    );
  } finally {
    pool.take = take;
  }
});

test("a big-endian machine is rejected", () => {
  const bytes = validFile;
  // an array of this class has the bytes of a big-endian machine
  class BigEndian extends Uint16Array {
    constructor(values: number[]) {
      super(values.map((value) => value << 8));
    }
  }
  withPatched(globalThis, { Uint16Array: BigEndian as never }, () => {
    assertRejected(() => load(bytes), /requires a little-endian machine/, "load", file);
    assert.throws(
      () => encodeSafetensors({}),
      (error: unknown) => error instanceof SafetensorsError,
    );
  });
});

test("writeSynced and syncFolder", () => {
  const target = join(folder, "chunks");
  writeSynced(target, [Buffer.from("long ago and far"), Buffer.from(" away")]);
  writeSynced(target, [Buffer.from("ab"), new Uint8Array(0), Buffer.from("c")]);
  assert.is(fs.readFileSync(target, "utf8"), "abc");
  syncFolder(folder);
  if (process.platform !== "win32")
    assert.throws(() => syncFolder(join(folder, "missing")), /ENOENT/);
});

test.run();
