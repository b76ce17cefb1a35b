// Faults of the file system: functions of node:fs that fail, or that record their calls.

import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { basename } from "node:path";

/** Returns a patch that records which files are synced and renamed, and these calls. */
export function recordSyncs(): { patch: Partial<typeof fs>; calls: string[] } {
  const calls: string[] = [];
  const paths = new Map<number, string>();
  const { openSync, fsyncSync, renameSync } = fs;
  const patch: Partial<typeof fs> = {
    openSync: (path, flags, mode) => {
      const fd = openSync(path, flags, mode);
      paths.set(fd, basename(String(path)));
      return fd;
    },
    fsyncSync: (fd) => {
      calls.push(`sync ${paths.get(fd)}`);
      fsyncSync(fd);
    },
    renameSync: (from, to) => {
      calls.push(`rename ${basename(String(to))}`);
      renameSync(from, to);
    },
  };
  return { patch, calls };
}

/** Replaces functions of node:fs, in the program's modules as well; returns how to restore them. */
export function patchFs(patch: Partial<typeof fs>): () => void {
  const keys = Object.keys(patch) as (keyof typeof fs)[];
  const original = Object.fromEntries(keys.map((key) => [key, fs[key]]));
  Object.assign(fs, patch);
  syncBuiltinESMExports();
  return () => {
    Object.assign(fs, original);
    syncBuiltinESMExports();
  };
}

/** Calls `body` while functions of node:fs are replaced. */
export async function withPatchedFs<T>(
  patch: Partial<typeof fs>,
  body: () => T | Promise<T>,
): Promise<T> {
  const restore = patchFs(patch);
  try {
    return await body();
  } finally {
    restore();
  }
}

/** Returns the error that node:fs throws for an error of the operating system, without a path. */
export function makeSystemError(code: string, call: string): Error {
  return Object.assign(new Error(`${code}: failed, ${call}`), { code, syscall: call });
}

/** The errors of a disk that cannot be written. */
export const diskErrors = ["ENOSPC", "EDQUOT", "EIO", "EROFS", "EACCES"];

/**
 * Lets all writes after the first `capacity` bytes fail, as a full disk does: the last write that
 * fits is cut short.
 */
export function makeFullDisk(capacity: number, code = "ENOSPC"): Partial<typeof fs> {
  const { writeSync } = fs;
  let free = capacity;
  const write = (fd: number, data: Uint8Array, offset = 0, length = data.length - offset) => {
    if (free === 0) throw makeSystemError(code, "write");
    const written = writeSync(fd, data, offset, Math.min(length, free));
    free -= written;
    return written;
  };
  return { writeSync: write as typeof writeSync };
}
