// The browser's own storage of runs (the origin private file system), used in the worker. Each slot
// is one zip archive.

import type { Slot } from "../protocol.ts";

/** A file handle in a worker of Safari before version 26, which has no createWritable(). */
interface SyncFileHandle {
  createSyncAccessHandle(): Promise<{
    truncate(size: number): void;
    write(bytes: Uint8Array, options: { at: number }): number;
    flush(): void;
    close(): void;
  }>;
}

/** Returns the archive in a slot; null if it is empty, or if the browser has no storage. */
export async function readSlot(slot: Slot): Promise<Uint8Array<ArrayBuffer> | null> {
  try {
    const folder = await navigator.storage.getDirectory();
    const file = await (await folder.getFileHandle(`${slot}.zip`)).getFile();
    return file.size > 0 ? new Uint8Array(await file.arrayBuffer()) : null;
  } catch {
    return null; // not found, or not allowed, as in a private window of Firefox
  }
}

/** Replaces the archive in a slot. Throws if the browser has no storage, or if it is full. */
export async function writeSlot(slot: Slot, archive: Uint8Array<ArrayBuffer>): Promise<void> {
  try {
    await replaceFile(slot, archive);
  } catch (error) {
    if ((error as Error).name !== "QuotaExceededError") throw error;
    throw new Error("The browser's storage is full. Download keeps the run as files.");
  }
}

async function replaceFile(slot: Slot, archive: Uint8Array<ArrayBuffer>): Promise<void> {
  // WebKitGTK has none, nor has a page from http:
  if (!navigator.storage?.getDirectory)
    throw new Error("This browser has no storage for runs. Download keeps them as files.");
  const folder = await navigator.storage.getDirectory();
  const handle = await folder.getFileHandle(`${slot}.zip`, { create: true });
  if ("createWritable" in handle) {
    const stream = await handle.createWritable(); // replaces the file when it is closed
    await stream.write(archive);
    await stream.close();
    return;
  }
  const access = await (handle as unknown as SyncFileHandle).createSyncAccessHandle();
  try {
    access.truncate(0);
    access.write(archive, { at: 0 });
    access.flush();
  } finally {
    access.close();
  }
}
