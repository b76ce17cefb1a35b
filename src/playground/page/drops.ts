// Files and text that are dropped anywhere on the page: a text to train on, or a run to open.

import { isRunFile } from "./run-upload.ts";

export interface DropActions {
  /** Receives a file, or text that was dragged from elsewhere. */
  openText(text: File | string): Promise<void> | void;
  openRun(files: Iterable<File>): Promise<void>;
  /** Reports that a file could not be read. */
  fail(error: Error): void;
}

/** The largest number of files of a dropped folder. */
const MAX_FILES = 1000;

export function listenToDrops(actions: DropActions): void {
  const mark = (isOver: boolean) => document.body.classList.toggle("drop-target", isOver);
  document.addEventListener("dragover", (event) => {
    if (isForField(event)) return;
    event.preventDefault();
    mark(true);
  });
  document.addEventListener("dragleave", ({ relatedTarget }) => mark(relatedTarget !== null));
  document.addEventListener("drop", (event) => {
    if (isForField(event)) return;
    event.preventDefault();
    mark(false);
    open(event.dataTransfer, actions).catch(actions.fail);
  });
}

/** Opens what was dropped. It is called by the event: afterwards the list of items is empty. */
async function open(dropped: DataTransfer | null, actions: DropActions): Promise<void> {
  const items = [...(dropped?.items ?? [])];
  const text = dropped?.getData("text/plain");
  const entries = items.map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  const files: File[] = [];
  for (const entry of entries) await collect(entry, files);
  const [first] = files;
  if (!first) {
    if (text) await actions.openText(text);
    return;
  }
  const isRun = files.length > 1 || isRunFile(first);
  await (isRun ? actions.openRun(files) : actions.openText(first));
}

/** Returns true for text over a field, which the browser itself inserts. */
function isForField({ dataTransfer, target }: DragEvent): boolean {
  const isField = target instanceof Element && target.matches("input, textarea");
  return isField && !dataTransfer?.types.includes("Files");
}

/** Adds the files of an entry, with their paths below it, to `files`. */
async function collect(entry: FileSystemEntry, files: File[], folder = ""): Promise<void> {
  if (files.length >= MAX_FILES) return;
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => {
      const fail = ({ message }: Error) =>
        reject(new Error(`cannot read ${entry.name}: ${message}`));
      (entry as FileSystemFileEntry).file(resolve, fail);
    });
    files.push(folder ? new File([file], `${folder}/${file.name}`) : file);
    return;
  }
  const path = folder ? `${folder}/${entry.name}` : entry.name;
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  for (;;) {
    // a reader returns the entries in parts
    const part = await new Promise<FileSystemEntry[]>((resolve, reject) => {
      reader.readEntries(resolve, reject);
    });
    if (part.length === 0) return;
    for (const inner of part) await collect(inner, files, path);
  }
}
