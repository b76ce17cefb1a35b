// The safetensors format (https://github.com/huggingface/safetensors#format), read and written: the
// length of a header, the header (JSON: each tensor's dtype, shape and place), the tensors' bytes.
// A file may come from anywhere: its whole header is checked before memory is asked for a tensor.

import * as fs from "node:fs";
import { endianness } from "node:os";
import { dirname } from "node:path";
import { type Buffer, OutOfMemoryError } from "../backend/device.ts";
import { fail } from "../errors.ts";
import { tensor } from "../ops/creation.ts";
import { numel, type Shape } from "../shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { piece, syncFolder, withOpen, writeSynced } from "./durable.ts";

/** Tensors by name. Those read here have no prototype: "__proto__" is a name like any other. */
export type TensorDict = Record<string, Tensor>;
type Strings = Record<string, string>;

/** A file that is not safetensors, or not for us. The message names the file and what is wrong. */
export class SafetensorsError extends Error {
  override name = "SafetensorsError";
}

const METADATA = "__metadata__";
const maxHeader = 16 * 2 ** 20; // bytes

const floats = { F64: Float64Array, F32: Float32Array, F16: Uint16Array, BF16: Uint16Array };
const signed = { I64: BigInt64Array, I32: Int32Array, I16: Int16Array, I8: Int8Array };
const unsigned = { U64: BigUint64Array, U32: Uint32Array, U16: Uint16Array, U8: Uint8Array };
const arrays = { ...floats, ...signed, ...unsigned, BOOL: Uint8Array };
type Values = InstanceType<(typeof arrays)[keyof typeof arrays]>;
type Format = { new (bytes: ArrayBuffer): Values; readonly BYTES_PER_ELEMENT: number };
const formats = new Map<unknown, Format>(Object.entries(arrays)); // by dtype, as a file names it

/**
 * The tensors of a file, on the default device: F64 as f64, other floats as f32, exactly, the rest
 * as i32. Throws a SafetensorsError for a file that is unsound, or holds what no dtype of ours can.
 * @example
 * saveSafetensors("model.safetensors", { weight: tensor([1, 2]) });
 * console.log(loadSafetensors("model.safetensors").weight.toArray()); // [ 1, 2 ]
 */
export function loadSafetensors(file: string): TensorDict {
  return readSafetensors(file).tensors;
}

/** As loadSafetensors, with the strings that the file keeps beside its tensors. */
export function readSafetensors(file: string): { tensors: TensorDict; metadata: Strings } {
  return reading(file, readOpen);
}

/** The dtypes, as the format names them, and the shapes of a file's tensors: its header alone. */
export function readTensorInfo(file: string): { name: string; dtype: unknown; shape: Shape }[] {
  return reading(file, (fd) => readHeader(fd).entries);
}

function reading<T>(file: string, read: (fd: number) => T): T {
  try {
    // NONBLOCK (Windows has none): opening a named pipe would else wait until somebody writes to it
    return withOpen(file, fs.constants.O_RDONLY | (fs.constants.O_NONBLOCK ?? 0), read);
  } catch (cause) {
    if (cause instanceof OutOfMemoryError) throw cause;
    throw new SafetensorsError(`${file}: ${(cause as Error).message}`, { cause });
  }
}

/**
 * A file in chunks: its header, then the bytes of each tensor; f32 and bf16 become F32, f64 F64,
 * i32 I32. Names are sorted: equal dicts give equal bytes. The data begins at a multiple of 8
 * bytes.
 */
export function encodeSafetensors(dict: TensorDict, metadata: Strings = {}): Uint8Array[] {
  checkLittleEndian();
  if (Object.hasOwn(dict, METADATA)) fail(`encodeSafetensors: a tensor is named ${METADATA}`);
  if (!isStrings(metadata)) fail("encodeSafetensors: metadata has a value that is not a string");
  const keys = Object.keys(metadata).sort();
  const fields = keys.length > 0 ? [`"${METADATA}":${JSON.stringify(metadata, keys)}`] : [];
  const chunks: Uint8Array[] = [];
  let end = 0;
  for (const name of Object.keys(dict).sort()) {
    const data = dict[name].data();
    const dtype = data instanceof Float64Array ? "F64" : data instanceof Int32Array ? "I32" : "F32";
    end += data.byteLength;
    const field = { dtype, shape: dict[name].shape, data_offsets: [end - data.byteLength, end] };
    fields.push(`${JSON.stringify(name)}:${JSON.stringify(field)}`);
    chunks.push(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  const text = new TextEncoder().encode(`{${fields.join(",")}}`);
  const length = Math.ceil(text.length / 8) * 8;
  if (length > maxHeader) fail(`encodeSafetensors: the header has more than ${maxHeader} bytes`);
  const header = new Uint8Array(8 + length).fill(0x20); // spaces
  new DataView(header.buffer).setBigUint64(0, BigInt(length), true);
  header.set(text, 8);
  return [header, ...chunks];
}

/**
 * Writes tensors and strings to a file. Whatever happens meanwhile, the file is the old or the new
 * one: the bytes go to FILE.tmp, reach the disk, and only then get the file's name.
 * @example
 * saveSafetensors("model.safetensors", { weight: tensor([1, 2]) });
 */
export function saveSafetensors(file: string, dict: TensorDict, metadata: Strings = {}): void {
  const temporary = `${file}.tmp`;
  try {
    writeSynced(temporary, encodeSafetensors(dict, metadata));
    fs.renameSync(temporary, file);
  } catch (error) {
    if (fs.lstatSync(temporary, { throwIfNoEntry: false })?.isFile()) fs.unlinkSync(temporary);
    throw error;
  }
  syncFolder(dirname(file));
}

/** The format is little-endian, typed arrays are as the machine is: bytes are taken as they are. */
function checkLittleEndian(): void {
  if (endianness() !== "LE") refuse("safetensors needs a little-endian machine");
}

/** Says what is wrong; readSafetensors() puts the file's name before it. */
function refuse(fault: string): never {
  throw new SafetensorsError(fault);
}

function readOpen(fd: number): { tensors: TensorDict; metadata: Strings } {
  const { entries, metadata, start } = readHeader(fd);
  const tensors: TensorDict = Object.create(null);
  for (const { name, dtype, format, shape, begin, end } of entries) {
    const values = new format(readBytes(fd, start + begin, end - begin));
    tensors[name] = tensor(convert(name, dtype, values), { shape });
  }
  return { tensors, metadata };
}

/** What a file holds, checked, and where its first byte of data is. */
function readHeader(fd: number) {
  checkLittleEndian();
  const stat = fs.fstatSync(fd);
  if (!stat.isFile()) refuse("is not a file");
  if (stat.size < 8) refuse(`has ${stat.size} bytes, expected at least 8`);
  const length = Number(new DataView(readBytes(fd, 0, 8)).getBigUint64(0, true));
  const most = Math.min(maxHeader, stat.size - 8);
  if (length > most) refuse(`header has ${length} bytes, expected at most ${most}`);
  const { [METADATA]: strings = {}, ...fields } = parseHeader(readBytes(fd, 8, length));
  if (!isStrings(strings)) refuse(`${METADATA} is ${quote(strings)}, not all strings`);
  const entries = Object.entries(fields).map(([name, field]) => checkEntry(name, field));
  checkPlaces(entries, stat.size - 8 - length);
  const metadata: Strings = Object.assign(Object.create(null), strings);
  return { entries, metadata, start: 8 + length };
}

/** Reads bytes into memory of their own: in the file they may lie as no typed array could. */
function readBytes(fd: number, position: number, length: number): ArrayBuffer {
  const bytes = new Uint8Array(length);
  for (let done = 0, count = 0; done < length; done += count) {
    count = fs.readSync(fd, bytes, done, Math.min(length - done, piece), position + done);
    if (count === 0) refuse(`ends at byte ${position + done}: it shrank while it was read`);
  }
  return bytes.buffer;
}

function parseHeader(bytes: ArrayBuffer): Record<string, unknown> {
  const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  if (!text.startsWith("{")) refuse("header does not begin with {");
  checkKeys(text);
  return JSON.parse(text);
}

/** Refuses what JSON.parse lets pass: a key twice in an object, brackets nested by the million. */
function checkKeys(text: string): void {
  const open: Set<string>[] = []; // the objects and lists around c, by the keys seen in them
  for (let i = 0, string = ""; i < text.length; i++) {
    const c = text[i];
    if (c === '"') {
      const start = i++;
      while (i < text.length && text[i] !== '"') i += text[i] === "\\" ? 2 : 1;
      string = text.slice(start, i + 1);
    } else if (c === "{" || c === "[") {
      if (c !== "{{["[open.length]) refuse(`header has a ${c} where none may stand`);
      open.push(new Set());
    } else if (c === "}" || c === "]") open.pop();
    else if (c === ":") {
      const key: string = JSON.parse(string); // "\u0061" is "a"
      if (open.at(-1)?.has(key)) refuse(`header has the key ${quote(key)} twice`);
      open.at(-1)?.add(key);
    }
  }
}

function checkEntry(name: string, field: unknown) {
  const wrong: (fault: string) => never = (fault) => refuse(`tensor ${quote(name)} ${fault}`);
  if (!isObject(field)) wrong(`is ${quote(field)}, expected an object`);
  const { dtype, shape, data_offsets: place, ...more } = field;
  if (Object.keys(more).length > 0) wrong(`has ${quote(more)} beside dtype, shape, data_offsets`);
  const format = formats.get(dtype) ?? wrong(`has dtype ${quote(dtype)}, which is unknown here`);
  if (!isCounts(shape)) wrong(`has shape ${quote(shape)}, expected whole numbers from 0 up`);
  if (!isCounts(place) || place.length !== 2) wrong(`has data_offsets ${quote(place)}`);
  const [begin, end] = place;
  const bytes = numel(shape) * format.BYTES_PER_ELEMENT;
  if (!Number.isSafeInteger(bytes)) wrong(`has shape ${quote(shape)}, too large to count`);
  if (end - begin !== bytes) wrong(`has ${end - begin} bytes, expected ${bytes}`);
  return { name, dtype, format, shape, begin, end };
}

/** Sorts the tensors by place. They must fill the data: no hole, no overlap, nothing left over. */
function checkPlaces(entries: ReturnType<typeof checkEntry>[], size: number): void {
  let filled = 0;
  for (const { name, begin, end } of entries.sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin !== filled) refuse(`tensor ${quote(name)} begins at ${begin}, expected ${filled}`);
    filled = end;
  }
  if (filled !== size) refuse(`has ${size} bytes of data, expected ${filled}`);
}

const isObject = (x: unknown): x is Record<string, unknown> =>
  typeof x === "object" && x !== null && !Array.isArray(x);
const isStrings = (x: unknown): x is Strings =>
  isObject(x) && Object.values(x).every((value) => typeof value === "string");
/** Whole numbers from 0 up, and exact: JSON.parse rounds those beyond 2^53. */
const isCounts = (x: unknown): x is number[] =>
  Array.isArray(x) && x.every((n) => Number.isSafeInteger(n) && n >= 0 && !Object.is(n, -0));

/** What a file says, as it stands in messages: escaped, and not longer than a line. */
function quote(said: unknown): string {
  return (JSON.stringify(said) ?? "missing").replace(/^(.{60}).+/s, "$1...");
}

/** The values in one of our dtypes. */
function convert(name: string, dtype: unknown, values: Values): Buffer {
  if (dtype === "F64" || dtype === "F32" || dtype === "I32") return values as Buffer;
  const halves = values as Uint16Array; // F16, or BF16: the upper half of an f32
  if (dtype === "F16") return widenF16(halves);
  if (dtype === "BF16") return new Float32Array(new Uint32Array(halves).map((h) => h << 16).buffer);
  return new Int32Array(values.length).map((_, i) => {
    const n = Number(values[i]);
    if (n !== (n | 0)) refuse(`tensor ${quote(name)} has ${values[i]}, which i32 cannot hold`);
    return n;
  });
}

/** Halves as f32: their bits, put where an f32 has them, mean 2^112 times too little. */
function widenF16(halves: Uint16Array): Float32Array {
  const bits = new Uint32Array(halves).map((h) => {
    const special = (h & 0x7c00) === 0x7c00 ? 0x7f800000 : 0; // infinities and NaNs remain such
    return ((h & 0x8000) << 16) | ((h & 0x7fff) << 13) | special;
  });
  return new Float32Array(bits.buffer).map((x) => x * 2 ** 112); // the exponents: e - 15, e - 127
}
