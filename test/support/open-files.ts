// The files that this process has open, to find those that have not been closed.

import { readdirSync, readlinkSync } from "node:fs";
import { join } from "node:path";

/** Returns the open files in a folder; on systems other than Linux always none. */
export function listOpenFiles(folder: string): string[] {
  if (process.platform !== "linux") return [];
  const links = "/proc/self/fd";
  return readdirSync(links).flatMap((name) => {
    try {
      const file = readlinkSync(join(links, name));
      return file.startsWith(folder) ? [file] : [];
    } catch {
      return []; // the descriptor with which the folder of descriptors was read
    }
  });
}
