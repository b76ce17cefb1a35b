// Creating folders, also where it is impossible.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { createFolder, isFolder } from "#src/files/folder.js";
import { canTestLinks, isWindows } from "../support/platform.js";

const test = suite("files/folder");
const folder = mkdtempSync(join(tmpdir(), "tinybard-folder-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

test("creates a folder with its parents, and leaves an existing one alone", () => {
  const path = join(folder, "a", "b", "c");
  createFolder(path);
  assert.ok(isFolder(path));
  writeFileSync(join(path, "file"), "content");
  createFolder(path);
  assert.ok(existsSync(join(path, "file")));
  createFolder(`${path}/d/`);
  assert.ok(isFolder(join(path, "d")));
});

test("a file or a dangling link in the way is an error", () => {
  writeFileSync(join(folder, "file"), "");
  assert.throws(() => createFolder(join(folder, "file")), /EEXIST/);
  assert.throws(() => createFolder(join(folder, "file", "a")), /ENOTDIR|EEXIST/); // EEXIST: Windows
  assert.throws(() => createFolder(""), /ENOENT/);
  if (!canTestLinks("a dangling link in place of a folder")) return;
  symlinkSync(join(folder, "nowhere"), join(folder, "link"));
  assert.throws(() => createFolder(join(folder, "link")), /EEXIST/);
});

test("ends with an error where nothing can be created", () => {
  if (process.platform === "linux") assert.throws(() => createFolder("/proc/a/b"), /ENOENT/);
  const module = JSON.stringify(import.meta.resolve("#src/files/folder.js"));
  const source = `
    import { mkdtempSync, rmSync } from "node:fs";
    import { createFolder } from ${module};
    const folder = mkdtempSync(${JSON.stringify(join(folder, "gone-"))});
    process.chdir(folder);
    rmSync(folder, { recursive: true });
    createFolder("a/b");`;
  const args = ["--input-type=module", "-e", source];
  const { signal, stderr } = spawnSync(process.execPath, args, {
    encoding: "utf8",
    timeout: 60_000,
  });
  assert.is(signal, null, "it ran until its time limit");
  if (!isWindows) assert.match(stderr, /ENOENT/);
});

test.run();
