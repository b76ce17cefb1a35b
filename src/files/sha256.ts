// SHA-256 checksums of texts and files.

import { createHash } from "node:crypto";
import { readSync } from "node:fs";
import { withRegularFile } from "./text.ts";

/** Returns the hexadecimal SHA-256 of a text in UTF-8, or of a file's content in chunks. */
export function sha256(content: string | Uint8Array | readonly Uint8Array[]): string {
  const hash = createHash("sha256");
  const isWhole = typeof content === "string" || content instanceof Uint8Array;
  for (const chunk of isWhole ? [content] : content) hash.update(chunk);
  return hash.digest("hex");
}

/** Returns the SHA-256 of the concatenated contents of files. */
export function sha256OfFiles(files: readonly string[]): string {
  const hash = createHash("sha256");
  const chunk = new Uint8Array(2 ** 20); // a file may be larger than the memory
  for (const file of files) {
    withRegularFile(file, (fd) => {
      for (;;) {
        const count = readSync(fd, chunk);
        if (count === 0) break;
        hash.update(chunk.subarray(0, count));
      }
    });
  }
  return hash.digest("hex");
}
