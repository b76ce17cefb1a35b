// The error of a file that cannot be read or written, and the words for the usual causes.

import type { Stats } from "node:fs";

/**
 * A file cannot be read or written, or its content is invalid. The message begins with the file's
 * path.
 */
export class FileError extends Error {
  override name = "FileError";
}

/** Returns a FileError for an error of the operating system. Its messages often lack the path. */
export function toFileError(file: string, cause: unknown): FileError {
  if (cause instanceof FileError) return cause;
  return new FileError(`${file}: ${describeFailure(cause as NodeJS.ErrnoException)}`, { cause });
}

/** Describes what is in the place of a regular file. */
export function describeKind(stat: Stats): string {
  if (stat.isDirectory()) return "a folder";
  if (stat.isFIFO()) return "a pipe";
  if (stat.isSocket()) return "a socket";
  return "a device";
}

const reasons: Record<string, string> = {
  ENOENT: "no such file",
  ENOTDIR: "no such file",
  EISDIR: "a folder, expected a file",
  ERR_FS_EISDIR: "a folder, expected a file",
  ENXIO: "a pipe or a socket, expected a file",
  ELOOP: "too many symbolic links",
  EACCES: "permission denied",
  EPERM: "permission denied",
  EROFS: "the file system is read-only",
  ENOSPC: "no space left on the disk",
  EDQUOT: "the disk quota is exceeded",
  EFBIG: "larger than the file system allows",
  EIO: "the disk reported an error",
};

function describeFailure({ code = "", message }: NodeJS.ErrnoException): string {
  return Object.hasOwn(reasons, code) ? `${reasons[code]} (${code})` : message;
}
