// The split of the input into training and validation. It depends on the input alone: on the number
// of characters of a file, or on the positions of the documents.

import type { Split } from "../shards/manifest.ts";
import { readContent } from "./content.ts";
import type { Section } from "./pieces.ts";

/**
 * Returns the split of a document by its index: every tenth one for a share of 0.1, beginning in
 * the middle of the first ten.
 */
export function getDocumentSplit(document: number, valShare: number): Split {
  const valDocuments = (count: number) => Math.floor(count * valShare + 0.5);
  return valDocuments(document + 1) > valDocuments(document) ? "val" : "train";
}

/**
 * Cuts a file of one document in two, after the same character as splitText(): the beginning for
 * training, and the last `valShare` of the characters for validation. `onRead` is called now and
 * then with the number of bytes that have been read.
 */
export async function splitFile(
  section: Section,
  valShare: number,
  onRead?: (bytes: number) => void,
): Promise<[train: Section, val: Section]> {
  const { file } = section;
  const chunks: { offset: number; before: number }[] = []; // `before`: characters before the chunk
  let characters = 0;
  for await (const { bytes, offset, read } of readContent(file)) {
    chunks.push({ offset, before: characters });
    characters += countCharacters(bytes);
    onRead?.(read);
  }
  const target = Math.floor((1 - valShare) * characters);
  const chunk = chunks.findLast(({ before }) => before <= target);
  const cut = chunk ? await findCharacter(file, chunk.offset, target - chunk.before) : 0;
  return [
    { ...section, end: cut },
    { ...section, begin: cut },
  ];
}

/** Returns the number of characters (code points) that begin in bytes of UTF-8. */
function countCharacters(bytes: Uint8Array): number {
  let count = 0;
  for (let i = 0; i < bytes.length; i++) {
    if ((bytes[i] & 0xc0) !== 0x80) count++;
  }
  return count;
}

/** Returns the offset of the n-th character after a position in a file, or that of the end. */
async function findCharacter(file: string, start: number, n: number): Promise<number> {
  let before = 0;
  let end = start;
  for await (const { bytes, offset } of readContent(file, start)) {
    end = offset + bytes.length;
    for (let i = 0; i < bytes.length; i++) {
      if ((bytes[i] & 0xc0) !== 0x80 && before++ === n) return offset + i;
    }
  }
  return end;
}
