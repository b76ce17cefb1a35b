// The folder for files that are kept between programs, and that can be made or downloaded again.

import { accessSync, constants, existsSync, statSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";

/**
 * Returns the path of a file in the user's cache folder, which may not exist yet. If it does not,
 * and that folder is read-only, the path is in the system's folder for temporary files.
 */
export function cacheFile(name: string): string {
  const paths = cacheFolders().map((folder) => join(folder, name));
  return paths.find(existsSync) ?? paths.find(canCreate) ?? paths[0];
}

/** Returns the folders that cached files may be in: the user's cache folder comes first. */
export function cacheFolders(): string[] {
  const { LOCALAPPDATA, XDG_CACHE_HOME } = process.env;
  const parent = process.platform === "win32" ? LOCALAPPDATA : XDG_CACHE_HOME;
  const folder = join(parent || join(homedir(), ".cache"), "tinybard");
  const user = process.getuid?.();
  const temporary = join(tmpdir(), user === undefined ? "tinybard" : `tinybard-${user}`);
  const owner = statSync(temporary, { throwIfNoEntry: false })?.uid ?? user;
  // on Windows each user has an own temporary folder, elsewhere others might have created it
  return user === undefined || owner === user ? [folder, temporary] : [folder];
}

/** Returns true if a file, and the missing folders of its path, can be created. */
function canCreate(path: string): boolean {
  const folder = dirname(path);
  try {
    if (!existsSync(folder)) return folder !== path && canCreate(folder);
    accessSync(folder, constants.W_OK);
    return statSync(folder).isDirectory();
  } catch {
    return false;
  }
}
