// SHA-256 checksums of a run's inputs: resuming and loading check that they have not changed.

import { createHash } from "node:crypto";
import { readSync } from "node:fs";
import { withRegularFile } from "../files/text.ts";
import type { Tokenizer } from "../tokenizers/tokenizer.ts";

/** Returns the hexadecimal SHA-256 of a text in UTF-8, or of a file's content in chunks. */
export function sha256(content: string | readonly Uint8Array[]): string {
  const hash = createHash("sha256");
  for (const chunk of typeof content === "string" ? [content] : content) hash.update(chunk);
  return hash.digest("hex");
}

/** Returns the SHA-256 of a tokenizer's JSON. */
export function tokenizerSha256(tokenizer: Tokenizer): string {
  return sha256(JSON.stringify(tokenizer));
}

/** Returns the SHA-256 of the concatenated contents of weight files. */
export function weightsSha256(files: readonly string[]): string {
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
