// Reads and writes safetensors files (https://github.com/huggingface/safetensors#format): the size
// of the header (u64), the header (JSON, see safetensors-header.ts), and the data of the tensors.

import { constants } from "node:buffer";
import * as fs from "node:fs";
import { endianness } from "node:os";
import { type Buffer, OutOfMemoryError } from "../backend/device.ts";
import { escapeControls, fail, quote } from "../errors.ts";
import { tensor } from "../ops/creation.ts";
import type { Shape } from "../shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { MAX_IO_BYTES, replaceFile } from "./durable.ts";
import {
  type FileArray,
  type FileDType,
  isStringDict,
  MAX_HEADER_BYTES,
  METADATA,
  parseHeader,
  reject,
  SafetensorsError,
  type TensorEntry,
} from "./safetensors-header.ts";
import { FileError, withRegularFile } from "./text.ts";

export { SafetensorsError };

/** Tensors by name. Loaded dicts have no prototype, so "__proto__" is an ordinary name. */
export type TensorDict = Record<string, Tensor>;
type StringDict = Record<string, string>;

/**
 * Loads the tensors of a file on the default device. F64 becomes f64, other float dtypes f32, and
 * integers and BOOL i32; all conversions are exact. Throws a SafetensorsError if the file is
 * invalid or has an integer outside the range of i32.
 * @example
 * saveSafetensors("model.safetensors", { weight: tensor([1, 2]) });
 * console.log(loadSafetensors("model.safetensors").weight.toArray()); // [ 1, 2 ]
 */
export function loadSafetensors(file: string): TensorDict {
  return readSafetensors(file).tensors;
}

/** The name, the dtype (as in the file) and the shape of a tensor in a file. */
export interface TensorInfo {
  name: string;
  dtype: FileDType;
  shape: Shape;
}

/** Throws if a file is not the expected one, by its tensors and its metadata. */
export type HeaderCheck = (tensors: readonly TensorInfo[], metadata: StringDict) => void;

/**
 * Loads the tensors of a file, like loadSafetensors(), and its metadata. `check` is called with the
 * header before memory is allocated for the tensors; its errors are thrown with the file's name.
 */
export function readSafetensors(
  file: string,
  check?: HeaderCheck,
): { tensors: TensorDict; metadata: StringDict } {
  return withFileForReading(file, (fd) => readTensors(fd, check));
}

/** Reads the header of a file. `check` is called with it, like that of readSafetensors(). */
export function readTensorInfo(file: string, check?: HeaderCheck): TensorInfo[] {
  return withFileForReading(file, (fd) => {
    const { entries, metadata } = readHeader(fd);
    check?.(entries, metadata);
    return entries;
  });
}

/** Calls `read` with an open file. Adds the file's name to the errors. */
function withFileForReading<T>(file: string, read: (fd: number) => T): T {
  try {
    return withRegularFile(file, read);
  } catch (cause) {
    if (cause instanceof OutOfMemoryError) throw cause;
    const { message } = cause as Error;
    const isNamed = cause instanceof FileError; // its message begins with the file's path
    throw new SafetensorsError(isNamed ? message : `${file}: ${escapeControls(message)}`, {
      cause,
    });
  }
}

/**
 * Returns the content of a file in chunks: the header, then the data of each tensor. f32 and bf16
 * are stored as F32, f64 as F64, i32 as I32. Names are sorted, so equal dicts have equal bytes. The
 * data begin at a multiple of 8 bytes.
 */
export function encodeSafetensors(dict: TensorDict, metadata: StringDict = {}): Uint8Array[] {
  checkLittleEndian();
  if (Object.hasOwn(dict, METADATA)) fail(`encodeSafetensors: a tensor is named ${METADATA}`);
  if (!isStringDict(metadata)) fail("encodeSafetensors: metadata has a value that is not a string");
  const fields: string[] = [];
  const keys = Object.keys(metadata).sort();
  if (keys.length > 0) fields.push(`"${METADATA}":${JSON.stringify(metadata, keys)}`);
  const chunks: Uint8Array[] = [];
  let end = 0;
  for (const name of Object.keys(dict).sort()) {
    const data = dict[name].data();
    const begin = end;
    end += data.byteLength;
    const info = { dtype: getFileDType(data), shape: dict[name].shape, data_offsets: [begin, end] };
    fields.push(`${JSON.stringify(name)}:${JSON.stringify(info)}`);
    chunks.push(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  const text = new TextEncoder().encode(`{${fields.join(",")}}`);
  const length = Math.ceil(text.length / 8) * 8;
  if (length > MAX_HEADER_BYTES)
    fail(`encodeSafetensors: the header has more than ${MAX_HEADER_BYTES} bytes`);
  const header = new Uint8Array(8 + length).fill(0x20); // pads with spaces
  new DataView(header.buffer).setBigUint64(0, BigInt(length), true);
  header.set(text, 8);
  return [header, ...chunks];
}

function getFileDType(data: Buffer): FileDType {
  if (data instanceof Float64Array) return "F64";
  if (data instanceof Int32Array) return "I32";
  return "F32";
}

/**
 * Writes tensors and metadata to a file atomically: the data is written to FILE.tmp, synced to
 * disk, and renamed. After a crash the file is either the old or the new one.
 * @example
 * saveSafetensors("model.safetensors", { weight: tensor([1, 2]) });
 */
export function saveSafetensors(file: string, dict: TensorDict, metadata: StringDict = {}): void {
  replaceFile(file, encodeSafetensors(dict, metadata));
}

/** Throws on a big-endian machine: files are little-endian, and bytes are copied unchanged. */
function checkLittleEndian(): void {
  if (endianness() !== "LE") reject("safetensors requires a little-endian machine");
}

function readTensors(
  fd: number,
  check?: HeaderCheck,
): { tensors: TensorDict; metadata: StringDict } {
  const { entries, metadata, dataStart } = readHeader(fd);
  check?.(entries, metadata);
  const tensors: TensorDict = Object.create(null);
  for (const { name, dtype, arrayType, shape, begin, end } of entries) {
    if (end - begin > constants.MAX_LENGTH)
      reject(
        `tensor ${quote(name)} has ${end - begin} bytes, expected at most ` +
          `${constants.MAX_LENGTH}, the longest array in this version of Node`,
      );
    const values = new arrayType(readBytes(fd, dataStart + begin, end - begin));
    tensors[name] = tensor(convert(name, dtype, values), { shape });
  }
  return { tensors, metadata };
}

/** Returns the validated header and the position of the first byte of data. */
function readHeader(fd: number): {
  entries: TensorEntry[];
  metadata: StringDict;
  dataStart: number;
} {
  checkLittleEndian();
  const stat = fs.fstatSync(fd);
  if (stat.size < 8) reject(`has ${stat.size} bytes, expected at least 8`);
  const length = Number(new DataView(readBytes(fd, 0, 8)).getBigUint64(0, true));
  const maxLength = Math.min(MAX_HEADER_BYTES, stat.size - 8);
  if (length > maxLength) reject(`header has ${length} bytes, expected at most ${maxLength}`);
  const dataStart = 8 + length;
  const { entries, metadata } = parseHeader(readBytes(fd, 8, length), stat.size - dataStart);
  return { entries, metadata, dataStart };
}

/** Reads bytes into a new buffer, since their position in the file may be unaligned. */
function readBytes(fd: number, position: number, length: number): ArrayBuffer {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const size = Math.min(length - done, MAX_IO_BYTES);
    const count = fs.readSync(fd, bytes, done, size, position + done);
    if (count === 0) reject(`ends at byte ${position + done}: it was truncated while being read`);
    done += count;
  }
  return bytes.buffer;
}

/** Converts values of a file to an array of a tensor dtype. */
function convert(name: string, dtype: FileDType, values: FileArray): Buffer {
  if (dtype === "F64" || dtype === "F32" || dtype === "I32") return values as Buffer;
  if (dtype === "F16") return widenF16(values as Uint16Array);
  if (dtype === "BF16") return widenBF16(values as Uint16Array);
  const ints = new Int32Array(values.length);
  for (let i = 0; i < values.length; i++) {
    ints[i] = Number(values[i]);
    if (ints[i] !== Number(values[i]))
      reject(`tensor ${quote(name)} has ${values[i]}, which does not fit in i32`);
  }
  return ints;
}

/** Converts bf16 bits, the upper half of an f32, to f32. */
function widenBF16(values: Uint16Array): Float32Array {
  const bits = new Uint32Array(values).map((h) => h << 16);
  return new Float32Array(bits.buffer);
}

/**
 * Converts fp16 bits to f32: sign, exponent and mantissa are shifted to their f32 positions. The
 * exponent bias is 15 in fp16 and 127 in f32, so the result is scaled by 2^(127 - 15), exactly.
 */
function widenF16(values: Uint16Array): Float32Array {
  const bits = new Uint32Array(values).map((h) => {
    const sign = (h & 0x8000) << 16;
    const magnitude = (h & 0x7fff) << 13;
    const isSpecial = (h & 0x7c00) === 0x7c00; // infinity or NaN
    return sign | magnitude | (isSpecial ? 0x7f800000 : 0);
  });
  return new Float32Array(bits.buffer).map((x) => x * 2 ** 112);
}
