// Tests of durable writes: a file is whole or unchanged whatever fails, and the order of syncs.

import { execFileSync } from "node:child_process";
import fs from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { appendBytes, remove, replaceFile, syncFile, writeSynced } from "#src/files/durable.js";
import { FileError } from "#src/files/file-error.js";
import {
  diskErrors,
  makeFullDisk,
  makeSystemError,
  recordSyncs,
  withPatchedFs,
} from "../support/faults.js";
import { canTestLinks, canTestPipes } from "../support/platform.js";

const test = suite("files/durable");
let folder: string;
let file: string;
test.before.each(() => {
  folder = fs.mkdtempSync(join(tmpdir(), "tinybard-durable-"));
  file = join(folder, "a.txt");
});
test.after.each(() => fs.rmSync(folder, { recursive: true }));

/** Windows has no named pipes among its files, and no /dev. */
const encode = (text: string) => new TextEncoder().encode(text);

/** Asserts that an action throws a FileError that begins with the path and ends with the code. */
function assertFails(action: () => unknown, path: string, code: string): void {
  try {
    action();
  } catch (error) {
    assert.instance(error, FileError, String(error));
    const { message } = error as Error;
    assert.ok(message.startsWith(`${path}: `), message);
    assert.ok(message.includes(code), message);
    return;
  }
  assert.unreachable(`${code}: written`);
}

test("a failed replacement names the file, keeps the old content, and leaves nothing else", async () => {
  fs.writeFileSync(file, "old");
  for (const code of diskErrors) {
    const fail = (call: string) => () => {
      throw makeSystemError(code, call);
    };
    for (const patch of [
      makeFullDisk(0, code),
      makeFullDisk(3, code),
      { fsyncSync: fail("fsync") },
    ]) {
      await withPatchedFs(patch, () =>
        assertFails(() => replaceFile(file, "a longer text"), `${file}.tmp`, `(${code})`),
      );
      assert.equal(fs.readdirSync(folder), ["a.txt"], code);
    }
    await withPatchedFs({ renameSync: fail("rename") }, () =>
      assertFails(() => replaceFile(file, "a longer text"), file, `(${code})`),
    );
    assert.equal(fs.readdirSync(folder), ["a.txt"], code);
    assert.is(fs.readFileSync(file, "utf8"), "old", code);
  }
});

test("a failed append leaves the file as it was", async () => {
  appendBytes(file, encode("first\n"));
  for (const code of diskErrors) {
    await withPatchedFs(makeFullDisk(4, code), () => {
      assertFails(() => appendBytes(file, encode("second\n")), file, `(${code})`);
    });
    assert.is(fs.readFileSync(file, "utf8"), "first\n");
  }
  appendBytes(file, encode("third\n"));
  assert.is(fs.readFileSync(file, "utf8"), "first\nthird\n");
});

test("a temporary file is never written through a link or a pipe in its place", () => {
  const other = join(folder, "other.txt");
  fs.writeFileSync(other, "precious");
  if (canTestLinks("a link in place of a temporary file")) fs.symlinkSync(other, `${file}.tmp`);
  replaceFile(file, "new");
  assert.is(fs.readFileSync(other, "utf8"), "precious");
  if (canTestPipes("a pipe in place of a temporary file")) execFileSync("mkfifo", [`${file}.tmp`]);
  replaceFile(file, "newer"); // would wait for a reader
  assert.is(fs.readFileSync(file, "utf8"), "newer");
  fs.mkdirSync(`${file}.tmp`);
  assertFails(() => replaceFile(file, "newest"), `${file}.tmp`, "a folder, expected a file");
  assert.is(fs.readFileSync(file, "utf8"), "newer");
});

test("an append refuses a folder, a pipe and a device, and does not wait", () => {
  fs.mkdirSync(file);
  assertFails(() => appendBytes(file, encode("x")), file, "a folder, expected a file");
  fs.rmdirSync(file);
  if (canTestPipes("a pipe or a device in place of a file that is appended to")) {
    execFileSync("mkfifo", [file]);
    assertFails(() => appendBytes(file, encode("x")), file, "a pipe");
    const reader = fs.openSync(file, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
    assertFails(() => appendBytes(file, encode("x")), file, "a pipe, expected a file");
    fs.closeSync(reader);
    assertFails(() => appendBytes("/dev/null", encode("x")), "/dev/null", "a device");
  }
  assertFails(() => syncFile(join(folder, "none")), join(folder, "none"), "no such file (ENOENT)");
  assertFails(
    () => writeSynced(join(folder, "none", "a"), []),
    join(folder, "none", "a"),
    "no such file (ENOENT)",
  );
});

test("on Windows, a rename that another program delays is tried again", async () => {
  const renameSync = fs.renameSync;
  let failures = 0;
  const fail = (code: string, times: number): Partial<typeof fs> => ({
    renameSync: (from, to) => {
      if (failures++ < times) throw makeSystemError(code, "rename");
      renameSync(from, to);
    },
  });
  const platform = Object.getOwnPropertyDescriptor(process, "platform") as PropertyDescriptor;
  const replaceOn = async (value: string, code: string, times: number) => {
    failures = 0;
    Object.defineProperty(process, "platform", { ...platform, value });
    try {
      await withPatchedFs(fail(code, times), () => replaceFile(file, `after ${code}`));
    } finally {
      Object.defineProperty(process, "platform", platform);
    }
  };
  for (const code of ["EPERM", "EACCES", "EBUSY"]) {
    await replaceOn("win32", code, 3);
    assert.is(fs.readFileSync(file, "utf8"), `after ${code}`);
    assert.is(failures, 4);
  }
  for (const [name, code, times] of [
    ["win32", "EBUSY", Infinity],
    ["win32", "ENOSPC", 1],
    ["linux", "EBUSY", 1],
  ] as const) {
    const error = await replaceOn(name, code, times).catch((error: unknown) => error);
    assert.instance(error, FileError);
    assert.is(fs.readFileSync(file, "utf8"), "after EBUSY");
  }
});

test("on Windows, the removal of a folder with an open file is tried again", async () => {
  const platform = Object.getOwnPropertyDescriptor(process, "platform") as PropertyDescriptor;
  const { rmSync } = fs;
  const inside = join(folder, "inside");
  for (const [value, code, isRemoved] of [
    ["win32", "ENOTEMPTY", true],
    ["win32", "EBUSY", true],
    ["win32", "EIO", false],
    ["linux", "EBUSY", false],
  ] as const) {
    fs.mkdirSync(join(inside, "b"), { recursive: true });
    let failures = 0;
    const patch: Partial<typeof fs> = {
      rmSync(path, options) {
        if (failures++ < 3) throw makeSystemError(code, "rmdir");
        rmSync(path, options);
      },
    };
    Object.defineProperty(process, "platform", { ...platform, value });
    try {
      await withPatchedFs(patch, () => remove(inside)).catch(() => {});
    } finally {
      Object.defineProperty(process, "platform", platform);
    }
    assert.is(fs.existsSync(inside), !isRemoved, `${value} ${code}`);
  }
});

test("a replacement syncs the data before the rename, and the folder after it", async () => {
  const { patch, calls } = recordSyncs();
  await withPatchedFs(patch, () => replaceFile(file, "new"));
  const last = process.platform === "win32" ? [] : [`sync ${basename(folder)}`];
  assert.equal(calls, ["sync a.txt.tmp", "rename a.txt", ...last]);
});

test.run();
