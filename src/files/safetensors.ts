// Reads and writes safetensors files, and Blobs with the same content (safetensors-blob.ts).

import { constants } from "node:buffer";
import * as fs from "node:fs";
import { MAX_IO_BYTES, replaceFile } from "./durable.ts";
import type { SafetensorsSource } from "./safetensors-blob.ts";
import * as blobs from "./safetensors-blob.ts";
import {
  decodeHeader,
  decodeTensors,
  encodeSafetensors,
  type FileDecoder,
  type HeaderCheck,
  type SafetensorsContent,
  type StringDict,
  type TensorDict,
  type TensorInfo,
  toSafetensorsError,
} from "./safetensors-format.ts";
import { reject, SafetensorsError } from "./safetensors-header.ts";
import { FileError, withRegularFile } from "./text.ts";

export type { SafetensorsSource } from "./safetensors-blob.ts";
export { encodeSafetensors, type HeaderCheck, SafetensorsError, type TensorDict, type TensorInfo };

/**
 * Loads the tensors of a file on the default device. F64 becomes f64, other float dtypes f32, and
 * integers and BOOL i32; all conversions are exact. Throws a SafetensorsError if the file is
 * invalid or has an integer outside the range of i32.
 * @example
 * saveSafetensors("model.safetensors", { weight: tensor([1, 2]) });
 * console.log(loadSafetensors("model.safetensors").weight.toArray()); // [ 1, 2 ]
 */
export function loadSafetensors(file: string): TensorDict;
/**
 * Loads the tensors in a Blob, or in bytes, like those of a file.
 * @example
 * const blob = saveSafetensors({ weight: tensor([1, 2]) });
 * console.log((await loadSafetensors(blob)).weight.toArray()); // [ 1, 2 ]
 */
export function loadSafetensors(source: SafetensorsSource): Promise<TensorDict>;
export function loadSafetensors(
  file: string | SafetensorsSource,
): TensorDict | Promise<TensorDict> {
  return typeof file === "string" ? readSafetensors(file).tensors : blobs.loadSafetensors(file);
}

/**
 * Loads the tensors of a file, like loadSafetensors(), and its metadata. `check` is called with the
 * header before memory is allocated for the tensors; its errors are thrown with the file's name.
 */
export function readSafetensors(file: string, check?: HeaderCheck): SafetensorsContent {
  return decodeFile(file, (size) => decodeTensors(size, constants.MAX_LENGTH, check));
}

/** Reads the header of a file. `check` is called with it, like that of readSafetensors(). */
export function readTensorInfo(file: string, check?: HeaderCheck): TensorInfo[] {
  return decodeFile(file, function* (size) {
    const { entries, metadata } = yield* decodeHeader(size);
    check?.(entries, metadata);
    return entries;
  });
}

/** Decodes a file. Adds the file's name to the errors. */
function decodeFile<T>(file: string, makeDecoder: (size: number) => FileDecoder<T>): T {
  try {
    return withRegularFile(file, (fd, size) => {
      const decoder = makeDecoder(size);
      let step = decoder.next();
      while (!step.done) {
        const { position, length } = step.value;
        step = decoder.next(readBytes(fd, position, length));
      }
      return step.value;
    });
  } catch (cause) {
    if (!(cause instanceof FileError)) throw toSafetensorsError(file, cause);
    throw new SafetensorsError(cause.message, { cause }); // it begins with the file's path
  }
}

/**
 * Writes tensors and metadata to a file atomically: the data is written to FILE.tmp, synced to
 * disk, and renamed. After a crash the file is either the old or the new one.
 * @example
 * saveSafetensors("model.safetensors", { weight: tensor([1, 2]) });
 */
export function saveSafetensors(file: string, dict: TensorDict, metadata?: StringDict): void;
/**
 * Returns a Blob with the content of a file of these tensors and metadata.
 * @example
 * const blob = saveSafetensors({ weight: tensor([1, 2]) });
 * console.log(blob.size); // 80
 */
export function saveSafetensors(dict: TensorDict, metadata?: StringDict): Blob;
export function saveSafetensors(
  ...args: [file: string, dict: TensorDict, metadata?: StringDict] | [TensorDict, StringDict?]
): Blob | undefined {
  if (typeof args[0] !== "string") return blobs.saveSafetensors(...(args as [TensorDict]));
  const [file, dict, metadata] = args as [string, TensorDict, StringDict?];
  replaceFile(file, encodeSafetensors(dict, metadata));
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
