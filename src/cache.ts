// The folder for files that are kept between programs, and that can be made or downloaded again.

import { accessSync, constants, existsSync, lstatSync, mkdirSync, statSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { dirname, isAbsolute, join } from "node:path";

/**
 * Returns the path of a file in the user's cache folder, which may not exist yet. If the file does
 * not exist and the folder is read-only, the path is in a folder of the user for temporary files.
 */
export function cacheFile(name: string): string {
  const path = join(userFolder(), name);
  if (existsSync(path) || canCreate(path)) return path;
  const temporary = temporaryFolder();
  try {
    if (!existsSync(temporary)) mkdirSync(temporary, { mode: 0o700 });
  } catch {} // cannot be created either
  return isPrivate(temporary) ? join(temporary, name) : path;
}

/** Returns the folders that cached files may be in: the user's cache folder comes first. */
export function cacheFolders(): string[] {
  const temporary = temporaryFolder();
  return isPrivate(temporary) ? [userFolder(), temporary] : [userFolder()];
}

function userFolder(): string {
  const { LOCALAPPDATA, XDG_CACHE_HOME } = process.env;
  const parent = process.platform === "win32" ? LOCALAPPDATA : XDG_CACHE_HOME;
  return join(parent || join(homeFolder(), ".cache"), "tinybard");
}

/** Returns the user's home folder; for a user without one, the folder for temporary files. */
function homeFolder(): string {
  try {
    const home = homedir();
    if (isAbsolute(home)) return home;
  } catch {} // the system does not know the user
  return temporaryFolder();
}

/** On Windows, each user has their own folder for temporary files. */
function temporaryFolder(): string {
  const user = process.getuid?.();
  return join(tmpdir(), user === undefined ? "tinybard" : `tinybard-${user}`);
}

/** Returns true for a folder that no other user has created, or can read. */
function isPrivate(folder: string): boolean {
  const user = process.getuid?.();
  try {
    const stat = lstatSync(folder); // not that of a link's target
    if (!stat.isDirectory()) return false;
    return user === undefined || (stat.uid === user && (stat.mode & 0o077) === 0);
  } catch {
    return false;
  }
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
