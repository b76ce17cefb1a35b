// Reads the files of a run that the user has selected or dropped: a zip archive, a folder, or
// single files.

import type { RunFiles } from "../protocol.ts";
import { readZip } from "../zip.ts";

/** The names of the files of a run that are read. */
const NAMES =
  /(^|\/)(config\.json|tokenizer\.json|state\.json|metrics\.jsonl|[^/]+\.(safetensors|txt))$/;
/** The largest total size in bytes. */
const MAX_BYTES = 2 ** 30;

/** Returns true if a dropped file is part of a run, and not a text to train on. */
export function isRunFile({ name }: File): boolean {
  return /\.(zip|safetensors|json|jsonl)$/i.test(name);
}

/** Reads selected files. Throws if there are none of a run among them, or if they are too large. */
export async function readRunFiles(selected: Iterable<File>): Promise<RunFiles> {
  const chosen = [...selected];
  const [first] = chosen;
  if (chosen.length === 1 && /\.zip$/i.test(first.name)) {
    checkSize(first.size);
    return readZip(new Uint8Array(await first.arrayBuffer()));
  }
  const files: RunFiles = new Map();
  const ofRun = chosen.filter((file) => NAMES.test(getPath(file)));
  checkSize(ofRun.reduce((sum, { size }) => sum + size, 0));
  for (const file of ofRun) files.set(getPath(file), new Uint8Array(await file.arrayBuffer()));
  if (files.size === 0) throw new Error("There are no files of a run among these.");
  return files;
}

/** Returns the path of a file in the selected folder, or its name. */
function getPath(file: File): string {
  return file.webkitRelativePath || file.name;
}

function checkSize(bytes: number): void {
  if (bytes > MAX_BYTES) throw new Error("The files have more than 1 GB.");
}
