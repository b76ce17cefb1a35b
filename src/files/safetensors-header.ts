// Parses and validates the header of a safetensors file: a JSON object that maps the name of each
// tensor to its dtype, shape and data offsets. Files are untrusted input, so the whole header is
// validated before any memory is allocated for a tensor.

import { quote } from "../errors.ts";
import { numel, type Shape } from "../shape.ts";

/** A safetensors file is invalid or not supported. The message names the file. */
export class SafetensorsError extends Error {
  /** The name of the class. */
  override name = "SafetensorsError";
}

/** The key of the header under which a file stores strings instead of a tensor. */
export const METADATA = "__metadata__";

/** The maximum header size in bytes. */
export const MAX_HEADER_BYTES = 16 * 2 ** 20;

/** The typed arrays by dtype, under the format's names. F16 and BF16 are read as raw bits. */
const arrayTypes = {
  F64: Float64Array,
  F32: Float32Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I64: BigInt64Array,
  I32: Int32Array,
  I16: Int16Array,
  I8: Int8Array,
  U64: BigUint64Array,
  U32: Uint32Array,
  U16: Uint16Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
};
export type FileDType = keyof typeof arrayTypes;
export type FileArray = InstanceType<(typeof arrayTypes)[FileDType]>;
interface FileArrayType {
  new (bytes: ArrayBuffer): FileArray;
  readonly BYTES_PER_ELEMENT: number;
}

/** A tensor in the header. Its data are the bytes `begin` to `end` (exclusive) after the header. */
export interface TensorEntry {
  name: string;
  dtype: FileDType;
  arrayType: FileArrayType;
  shape: Shape;
  begin: number;
  end: number;
}

/** Parses a header that is followed by `dataSize` bytes of tensor data. */
export function parseHeader(
  bytes: ArrayBuffer,
  dataSize: number,
): { entries: TensorEntry[]; metadata: Record<string, string> } {
  const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  if (!text.startsWith("{")) reject("header does not begin with {");
  checkStructure(text);
  const { [METADATA]: strings = {}, ...tensors }: Record<string, unknown> = JSON.parse(text);
  if (!isStringDict(strings)) reject(`${METADATA} is ${quote(strings)}, expected only strings`);
  const entries = Object.entries(tensors).map(([name, fields]) => parseEntry(name, fields));
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  checkOffsets(entries, dataSize);
  const metadata: Record<string, string> = Object.create(null);
  for (const [key, value] of Object.entries(strings)) metadata[key] = value;
  return { entries, metadata };
}

/** The bracket that may open at each depth: the header, then a tensor or the metadata, a list. */
const OPENING_AT_DEPTH = ["{", "{", "["];

/**
 * Rejects two attacks that JSON.parse() does not detect:
 * - Duplicate keys. Parsers differ in which of the two values they use, so a file could pass a
 *   check by one program and load as different tensors in another.
 * - Deep nesting. Millions of brackets take JSON.parse() seconds and hundreds of megabytes, and the
 *   result overflows the stack of JSON.stringify(), which quotes values in messages.
 */
function checkStructure(text: string): void {
  const keysAtDepth: Set<string>[] = []; // the keys seen so far in each enclosing object
  let lastString = "";
  let i = 0;
  while (i < text.length) {
    const c = text[i];
    if (c === '"') {
      const end = findStringEnd(text, i);
      lastString = text.slice(i, end);
      i = end;
      continue;
    }
    if (c === "{" || c === "[") {
      if (c !== OPENING_AT_DEPTH[keysAtDepth.length]) reject(`header has an unexpected ${c}`);
      keysAtDepth.push(new Set());
    } else if (c === "}" || c === "]") {
      keysAtDepth.pop();
    } else if (c === ":") {
      const key: string = JSON.parse(lastString); // resolves escapes: "\u0061" is "a"
      const keys = keysAtDepth.at(-1);
      if (keys?.has(key)) reject(`header has the key ${quote(key)} twice`);
      keys?.add(key);
    }
    i++;
  }
}

/** Returns the index after the closing quote of the string literal that starts at `start`. */
function findStringEnd(text: string, start: number): number {
  let i = start + 1;
  while (i < text.length && text[i] !== '"') i += text[i] === "\\" ? 2 : 1;
  return i + 1;
}

function parseEntry(name: string, fields: unknown): TensorEntry {
  const rejectEntry: (reason: string) => never = (reason) =>
    reject(`tensor ${quote(name)} ${reason}`);
  if (!isObject(fields)) rejectEntry(`is ${quote(fields)}, expected an object`);
  const { dtype, shape, data_offsets: offsets, ...others } = fields;
  if (Object.keys(others).length > 0)
    rejectEntry(`has ${quote(others)}, expected only dtype, shape, data_offsets`);
  if (!isFileDType(dtype)) rejectEntry(`has dtype ${quote(dtype)}, which is not supported`);
  if (!isCounts(shape)) rejectEntry(`has shape ${quote(shape)}, expected whole numbers from 0 up`);
  if (!isCounts(offsets) || offsets.length !== 2)
    rejectEntry(`has data_offsets ${quote(offsets)}, expected two whole numbers from 0 up`);
  const [begin, end] = offsets;
  const arrayType: FileArrayType = arrayTypes[dtype];
  const bytes = numel(shape) * arrayType.BYTES_PER_ELEMENT;
  if (!Number.isSafeInteger(bytes)) rejectEntry(`has shape ${quote(shape)}, which is too large`);
  if (end - begin !== bytes) rejectEntry(`has ${end - begin} bytes, expected ${bytes}`);
  return { name, dtype, arrayType, shape, begin, end };
}

/** Throws unless the tensors, sorted by offset, fill the data without gaps or overlaps. */
function checkOffsets(entries: readonly TensorEntry[], dataSize: number): void {
  let filled = 0;
  for (const { name, begin, end } of entries) {
    if (begin !== filled) reject(`tensor ${quote(name)} begins at ${begin}, expected ${filled}`);
    filled = end;
  }
  if (filled !== dataSize) reject(`has ${dataSize} bytes of data, expected ${filled}`);
}

function isObject(x: unknown): x is Record<string, unknown> {
  return typeof x === "object" && x !== null && !Array.isArray(x);
}

function isFileDType(x: unknown): x is FileDType {
  return typeof x === "string" && Object.hasOwn(arrayTypes, x);
}

export function isStringDict(x: unknown): x is Record<string, string> {
  return isObject(x) && Object.values(x).every((value) => typeof value === "string");
}

/** Returns true for a list of integers from 0 to 2^53 - 1. JSON.parse() rounds larger ones. */
function isCounts(x: unknown): x is number[] {
  return Array.isArray(x) && x.every((n) => Number.isSafeInteger(n) && n >= 0 && !Object.is(n, -0));
}

/** Throws a SafetensorsError. The function that opened the file adds its name to the message. */
export function reject(reason: string): never {
  throw new SafetensorsError(reason);
}
