// The process that a lock names: what identifies it, and how others find out that it has ended.

import { randomUUID } from "node:crypto";
import * as fs from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";

/** A process, on this machine or another one. Only one of the last two is known, or neither. */
export interface Owner {
  pid: number;
  host: string;
  /** Linux: when the process was started. */
  start: string | null;
  /** Windows: a file that it has open, and that nobody else can open in the meantime. */
  guard: string | null;
}

let guard: string | null | undefined;

/** Describes this process. */
export function describeSelf(): Owner {
  if (process.platform === "win32") guard ??= createGuard();
  return {
    pid: process.pid,
    host: hostname(),
    start: readStart(process.pid),
    guard: guard ?? null,
  };
}

/** Parses the content of a lock; returns null if it is damaged. */
export function parseOwner(content: string): Owner | null {
  try {
    const { pid, host, start, guard } = JSON.parse(content);
    const isValid = Number.isInteger(pid) && pid > 0 && pid < 2 ** 31 && typeof host === "string";
    const stringOrNull = (value: unknown) => (typeof value === "string" ? value : null);
    return isValid ? { pid, host, start: stringOrNull(start), guard: stringOrNull(guard) } : null;
  } catch {
    return null;
  }
}

/** Returns false if the owner is known not to exist anymore. */
export function isAlive(owner: Owner): boolean {
  if (owner.host !== hostname()) return true; // the folder may be on a network drive
  // of Linux in Windows (WSL) or the reverse, which have one name but not the same processes
  const foreign = process.platform === "win32" ? owner.start : owner.guard;
  if (foreign !== null) return true;
  if (!isProcess(owner.pid)) return false;
  // another process may have got the id of one that has ended
  if (owner.guard !== null) return isOpen(owner.guard);
  const start = readStart(owner.pid);
  return start === null || owner.start === null || start === owner.start;
}

/** Returns true if this machine has a process with this id. */
export function isProcess(pid: number): boolean {
  try {
    process.kill(pid, 0); // sends nothing
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

/**
 * Returns when a process was started: its clock ticks since the machine was, and the id of that
 * start of the machine. Null where there is no /proc; "ended" for a process that only its parent
 * still knows.
 */
function readStart(pid: number): string | null {
  if (process.platform === "win32") return null; // Wine shows the processes of Linux in /proc
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" "); // from field 3, the state
    if (fields[0] === "Z" || fields[0] === "X") return "ended";
    const boot = fs.readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
    return `${fields[19]} ${boot}`;
  } catch {
    return null;
  }
}

/**
 * Opens a new temporary file until this process ends, which Windows does not let others open, and
 * deletes at the end. Returns null if it cannot be created.
 */
function createGuard(): string | null {
  const file = join(tmpdir(), `tinybard-${process.pid}-${randomUUID()}.lock`);
  // libuv's UV_FS_O_TEMPORARY and UV_FS_O_EXLOCK, which Node has no names for
  const deleteAtEnd = 0x40;
  const exclusive = 0x10000000;
  const { O_RDWR, O_CREAT, O_EXCL } = fs.constants;
  try {
    fs.openSync(file, O_RDWR | O_CREAT | O_EXCL | deleteAtEnd | exclusive);
    return file;
  } catch {
    return null;
  }
}

/** Returns false if the process that created a guard is known not to have it open anymore. */
function isOpen(file: string): boolean {
  try {
    fs.closeSync(fs.openSync(file, "r")); // left behind by a machine that has crashed
    return false;
  } catch (error) {
    // EBUSY, or another error if the folder is that of another user
    return (error as NodeJS.ErrnoException).code !== "ENOENT";
  }
}
