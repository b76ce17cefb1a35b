// Reads text files of any size line by line, in a fixed amount of memory.

import * as fs from "node:fs";
import { toFileError } from "./file-error.ts";
import { openRegularFile } from "./text.ts";

const CHUNK_BYTES = 2 ** 20;

/**
 * Yields the lines of a regular file, each with its newline, which the last one may lack. They are
 * decoded as Latin-1, so that encoding a line as Latin-1 returns its bytes, whatever they are. Of a
 * line with more than `maxLength` bytes, only one NUL and its end are yielded. Throws a FileError.
 */
export function* readLines(file: string, maxLength: number): Generator<string> {
  const fd = openRegularFile(file);
  try {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    let rest = ""; // the beginning of a line that continues in the next chunk
    for (;;) {
      const count = fs.readSync(fd, chunk);
      if (count === 0) break;
      const text = rest + chunk.toString("latin1", 0, count);
      let begin = 0;
      for (;;) {
        const end = text.indexOf("\n", begin) + 1;
        if (end === 0) break;
        yield text.slice(begin, end);
        begin = end;
      }
      rest = text.length - begin > maxLength ? "\0" : text.slice(begin);
    }
    if (rest !== "") yield rest;
  } catch (cause) {
    throw toFileError(file, cause);
  } finally {
    fs.closeSync(fd);
  }
}
