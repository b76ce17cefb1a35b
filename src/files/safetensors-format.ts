// The safetensors format (https://github.com/huggingface/safetensors#format): the size of the
// header (u64), the header (JSON, see safetensors-header.ts), and the data of the tensors. Decoders
// are generators that ask for parts of a file, so that they read files and Blobs alike.

import { type Buffer, OutOfMemoryError } from "../backend/device.ts";
import { escapeControls, fail, quote } from "../errors.ts";
import { tensor } from "../ops/creation.ts";
import type { Shape } from "../shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
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

/** Tensors by name. Loaded dicts have no prototype, so "__proto__" is an ordinary name. */
export type TensorDict = Record<string, Tensor>;
export type StringDict = Record<string, string>;

/** The tensors and the metadata of a file. */
export interface SafetensorsContent {
  tensors: TensorDict;
  metadata: StringDict;
}

/** The name, the dtype (as in the file) and the shape of a tensor in a file. */
export interface TensorInfo {
  name: string;
  dtype: FileDType;
  shape: Shape;
}

/** Throws if a file is not the expected one, by its tensors and its metadata. */
export type HeaderCheck = (tensors: readonly TensorInfo[], metadata: StringDict) => void;

/** A part of a file. */
export interface ByteRange {
  position: number;
  length: number;
}

/** Yields the parts of a file that it needs, and is resumed with the bytes of each. */
export type FileDecoder<T> = Generator<ByteRange, T, ArrayBuffer>;

/** The validated header of a file, and the position of the first byte of data. */
interface Header {
  entries: TensorEntry[];
  metadata: StringDict;
  dataStart: number;
}

/**
 * Decodes a file of `size` bytes. `check` is called with the header before memory is allocated for
 * the tensors. A tensor may have at most `maxBytes` bytes.
 */
export function* decodeTensors(
  size: number,
  maxBytes: number,
  check?: HeaderCheck,
): FileDecoder<SafetensorsContent> {
  const { entries, metadata, dataStart } = yield* decodeHeader(size);
  check?.(entries, metadata);
  const tensors: TensorDict = Object.create(null);
  for (const { name, dtype, arrayType, shape, begin, end } of entries) {
    if (end - begin > maxBytes)
      reject(
        `tensor ${quote(name)} has ${end - begin} bytes, expected at most ` +
          `${maxBytes}, the longest array in this version of Node`,
      );
    const bytes = yield { position: dataStart + begin, length: end - begin };
    tensors[name] = tensor(convert(name, dtype, new arrayType(bytes)), { shape });
  }
  return { tensors, metadata };
}

/** Decodes the header of a file of `size` bytes. */
export function* decodeHeader(size: number): FileDecoder<Header> {
  checkLittleEndian();
  if (size < 8) reject(`has ${size} bytes, expected at least 8`);
  const start = yield { position: 0, length: 8 };
  const length = Number(new DataView(start).getBigUint64(0, true));
  const maxLength = Math.min(MAX_HEADER_BYTES, size - 8);
  if (length > maxLength) reject(`header has ${length} bytes, expected at most ${maxLength}`);
  const dataStart = 8 + length;
  const { entries, metadata } = parseHeader(yield { position: 8, length }, size - dataStart);
  return { entries, metadata, dataStart };
}

/** Returns the error for a failure of decoding a file, with the name of the file. */
export function toSafetensorsError(name: string, cause: unknown): Error {
  if (cause instanceof OutOfMemoryError) return cause;
  const { message } = cause as Error;
  return new SafetensorsError(`${name}: ${escapeControls(message)}`, { cause });
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

/** Throws on a big-endian machine: files are little-endian, and bytes are copied unchanged. */
function checkLittleEndian(): void {
  const [first] = new Uint8Array(new Uint16Array([1]).buffer);
  if (first !== 1) reject("safetensors requires a little-endian machine");
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
