// Helpers for the tests of safetensors files.

import * as assert from "uvu/assert";
import { SafetensorsError } from "#src/files/safetensors.js";

/** Returns the bytes of a file: the header's length, the header, and the data. */
export function makeFile(header: string | Uint8Array, data: Iterable<number> = []): Uint8Array {
  const text = Buffer.from(header as string);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, Uint8Array.from(data)]);
}

/** Returns a header from the names and fields of its tensors. */
export function makeHeader(
  fields: Record<string, [dtype: unknown, shape: unknown, offsets: unknown]>,
): string {
  const entries = Object.entries(fields).map(([name, [dtype, shape, data_offsets]]) => [
    name,
    { dtype, shape, data_offsets },
  ]);
  return JSON.stringify(Object.fromEntries(entries));
}

/** Asserts that an action throws a SafetensorsError with the file name and the reason. */
export function assertRejected(
  action: () => unknown,
  reason: RegExp,
  label: string,
  path: string,
): void {
  try {
    action();
  } catch (error) {
    checkRejection(error, reason, label, path);
    return;
  }
  assert.unreachable(`${label}: loaded`);
}

/** Asserts that an error is a SafetensorsError with the file name and the reason. */
export function checkRejection(error: unknown, reason: RegExp, label: string, path: string): void {
  assert.instance(error, SafetensorsError, `${label}: ${error}`);
  const { name, message } = error as Error;
  assert.is(name, "SafetensorsError");
  assert.ok(message.startsWith(`${path}: `), `${label}: ${message}`);
  assert.match(message.slice(path.length + 2), reason, `${label}: ${message}`);
  assert.ok(message.length < path.length + 200, `${label}: message too long`);
}
