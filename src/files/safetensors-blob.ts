// Reads safetensors from a Blob, such as a file that a user has chosen or a response of fetch(),
// and writes them to one. Works in browsers and in Node.

import { fail, quote, shorten } from "../errors.ts";
import {
  decodeTensors,
  encodeSafetensors,
  type HeaderCheck,
  type SafetensorsContent,
  type StringDict,
  type TensorDict,
  toSafetensorsError,
} from "./safetensors-format.ts";
import { reject } from "./safetensors-header.ts";

/** The content of a safetensors file in memory, or a file that a browser has opened. */
export type SafetensorsSource = Blob | ArrayBuffer | Uint8Array;

/**
 * Loads the tensors in a Blob, or in bytes, on the default device, like those of a file. Rejects
 * with a SafetensorsError if the content is invalid, before memory is allocated for the tensors.
 * @example
 * const blob = saveSafetensors({ weight: tensor([1, 2]) });
 * console.log((await loadSafetensors(blob)).weight.toArray()); // [ 1, 2 ]
 */
export async function loadSafetensors(source: SafetensorsSource): Promise<TensorDict> {
  return (await readSafetensors(source)).tensors;
}

/** Loads the tensors in a Blob and its metadata; `check` is called with the header. */
export async function readSafetensors(
  source: SafetensorsSource,
  check?: HeaderCheck,
): Promise<SafetensorsContent> {
  const blob = toBlob(source);
  const name = "name" in blob && typeof blob.name === "string" ? shorten(blob.name) : "blob";
  try {
    const decoder = decodeTensors(blob.size, Number.POSITIVE_INFINITY, check);
    let step = decoder.next();
    while (!step.done) {
      const { position, length } = step.value;
      step = decoder.next(await readBytes(blob, position, length));
    }
    return step.value;
  } catch (cause) {
    throw toSafetensorsError(name, cause);
  }
}

/**
 * Returns a Blob with tensors and metadata in the format of a safetensors file, to download or to
 * upload it.
 * @example
 * const blob = saveSafetensors({ weight: tensor([1, 2]) });
 * console.log(blob.size); // 80
 */
export function saveSafetensors(dict: TensorDict, metadata: StringDict = {}): Blob {
  if (typeof dict !== "object" || dict === null)
    fail(`saveSafetensors: dict is ${quote(dict)}, expected tensors by name`);
  return new Blob(encodeSafetensors(dict, metadata));
}

function toBlob(source: SafetensorsSource): Blob {
  if (source instanceof ArrayBuffer || source instanceof Uint8Array) return new Blob([source]);
  // a Blob of another window is not an instance of this one's class
  if (Object.prototype.toString.call(source) === "[object File]") return source;
  if (Object.prototype.toString.call(source) === "[object Blob]") return source;
  return fail(
    `loadSafetensors: source is ${quote(source)}, expected a Blob, an ArrayBuffer or a Uint8Array`,
  );
}

async function readBytes(blob: Blob, position: number, length: number): Promise<ArrayBuffer> {
  const bytes = await blob.slice(position, position + length).arrayBuffer();
  if (bytes.byteLength < length)
    reject(`ends at byte ${position + bytes.byteLength}: it was truncated while being read`);
  return bytes;
}
