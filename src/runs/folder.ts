// The folder of a run while the run is trained.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { FileError } from "../files/file-error.ts";

/**
 * Throws a FileError if the folder of a run has been removed or renamed, or its config.json:
 * without that, what is written to the folder is not a run that could be resumed.
 */
export function checkRunFolder(out: string): void {
  if (existsSync(join(out, "config.json"))) return;
  const what = existsSync(out) ? `${join(out, "config.json")}: the file` : `${out}: the folder`;
  throw new FileError(
    `${what} was removed or renamed while the run was trained; later steps cannot be saved`,
  );
}
