// The functions of node:fs and node:path that lessons use, on files in memory. Figures that a
// lesson writes are shown on the page; other files are kept for the next lesson.

import type { LessonMessage } from "../protocol.ts";

const files = new Map<string, string>();

/** Makes the files of earlier lessons available. */
export function restoreFiles(kept: ReadonlyMap<string, string>): void {
  for (const [path, content] of kept) files.set(path, content);
}

export function join(...parts: string[]): string {
  return parts.join("/");
}

export function mkdirSync(): void {}

export function existsSync(path: string): boolean {
  return files.has(path);
}

export function readFileSync(path: string): string {
  const content = files.get(path);
  if (content === undefined) throw new Error(`${path}: no such file`);
  return content;
}

export function writeFileSync(path: string, content: string): void {
  files.set(path, content);
  const message: LessonMessage = { kind: "file", path, content };
  (self as unknown as { postMessage(message: LessonMessage): void }).postMessage(message);
}
