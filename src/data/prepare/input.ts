// The input of prepareShards(): its files as sections, and the documents in them.

import { extname } from "node:path";
import { UsageError } from "../../errors.ts";
import { withRegularFile } from "../../files/text.ts";
import type { Split } from "../shards/manifest.ts";
import type { Section } from "./pieces.ts";
import { getDocumentSplit, splitFile } from "./split.ts";

export interface InputOptions {
  readonly files: readonly string[];
  readonly valShare: number;
  readonly documentSeparator?: string;
  /** The field of JSON lines that has the text. Files with other names are read as JSON lines. */
  readonly field?: string;
  /** Called with the bytes of the files that have been read and their sizes, if they are read. */
  readonly onRead?: (done: number, total: number) => void;
}

export interface InputSections {
  readonly sections: readonly Section[];
  /** The sizes of all files, and of those before each section. */
  readonly bytes: number;
  readonly bytesBefore: readonly number[];
  /** Returns the split of a document by its index in the input and that of its section. */
  getSplit(document: number, section: number): Split;
}

/**
 * Returns the sections of the input. A few files, each of which is one document, are split one by
 * one, and every file has two sections; in any other input, whole documents are split.
 */
export async function findSections(options: InputOptions): Promise<InputSections> {
  const { files, valShare, documentSeparator, field } = options;
  const formats = files.map((file) => getFormat(file, field));
  const isDocument = documentSeparator === undefined && !formats.includes("jsonl");
  const splitsFiles = isDocument && valShare > 0 && files.length * valShare < 1;
  const sections: Section[] = [];
  const bytesBefore: number[] = [];
  const sizes = files.map((file) => withRegularFile(file, (_, size) => size));
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  let before = 0;
  for (const [i, file] of files.entries()) {
    const whole = { file, format: formats[i], begin: 0, end: Number.POSITIVE_INFINITY };
    const onRead = (read: number) => options.onRead?.(before + read, bytes);
    for (const section of splitsFiles ? await splitFile(whole, valShare, onRead) : [whole]) {
      sections.push(section);
      bytesBefore.push(before);
    }
    before += sizes[i];
  }
  const getSplit = (document: number, section: number): Split => {
    if (splitsFiles) return section % 2 === 0 ? "train" : "val";
    return getDocumentSplit(document, valShare);
  };
  return { sections, bytes, bytesBefore, getSplit };
}

/** Returns true for names of JSON lines: .jsonl and .ndjson, also with .gz. */
export function isJSONLines(file: string): boolean {
  return [".jsonl", ".ndjson"].includes(getExtension(file));
}

/** Returns the extension of a name in lower case, without a final .gz. */
function getExtension(file: string): string {
  return extname(file.toLowerCase().replace(/\.gz$/, ""));
}

function getFormat(file: string, field: string | undefined): Section["format"] {
  if (field !== undefined || isJSONLines(file)) return "jsonl";
  const extension = getExtension(file);
  if ([".parquet", ".zst", ".zip", ".bz2", ".xz"].includes(extension))
    throw new UsageError(
      `prepare: ${file}: ${extension} files cannot be read; convert it to text, JSON lines or gzip`,
    );
  return "text";
}
