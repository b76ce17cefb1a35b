// The folder for files that are kept between programs, and that can be made or downloaded again.

import { homedir } from "node:os";
import { join } from "node:path";

/** Returns the path of a file in the user's cache folder, which may not exist yet. */
export function cacheFile(name: string): string {
  const { LOCALAPPDATA, XDG_CACHE_HOME } = process.env;
  const folder = process.platform === "win32" ? LOCALAPPDATA : XDG_CACHE_HOME;
  return join(folder || join(homedir(), ".cache"), "tinybard", name);
}
