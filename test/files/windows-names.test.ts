// Names that Windows reserves or cannot have: they are refused before anything is written.

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadSafetensors, saveSafetensors, tensor } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { UsageError } from "#src/errors.js";
import { appendBytes, replaceFile } from "#src/files/durable.js";
import { FileError } from "#src/files/file-error.js";
import { createFolder } from "#src/files/folder.js";
import { lockFolder } from "#src/files/lock.js";
import { writeFile, writeFolder } from "#src/files/output.js";
import { describeInvalidPath } from "#src/files/windows-names.js";
import { createRunFolder } from "#src/runs/folder.js";
import { isWindows } from "../support/platform.js";

const test = suite("files/windows-names");
const folder = mkdtempSync(join(tmpdir(), "tinybard-names-"));
test.after(() => rmSync(folder, { recursive: true }));

const invalid: [path: string, problem: RegExp][] = [
  ["CON", /^has the name CON, which Windows reserves for a device$/],
  ["runs\\nul", /the name nul,/],
  ["runs/Aux.json", /the name Aux.json,/],
  ["C:\\prn\\a", /the name prn,/],
  ["com1", /the name com1,/],
  ["LPT9.tar.gz", /the name LPT9.tar.gz,/],
  ["COM²", /the name COM²,/],
  ["nul .txt", /the name nul .txt,/],
  ["run:1", /^has the character ":", which names on Windows cannot have$/],
  ["C:\\runs\\step:5", /":"/],
  ["why?", /"\?"/],
  ["a\u0007", /"\\u0007"/],
  ['say "a"', /"\\""/],
  ["runs/a.", /^has a name that ends with a dot, which Windows drops$/],
  ["a /b", /ends with a space/],
  ["...", /ends with a dot/],
];
const valid = [
  "runs/first",
  "C:\\Jörg Müller\\run 1",
  "C:a",
  "\\\\server\\share\\a",
  "..\\a\\.\\..",
  "runs/a/",
  ".hidden",
  "console",
  "com10",
  "a.con",
  "nullable.txt",
  "\\\\.\\NUL",
  "\\\\?\\C:\\a",
  "",
];

test("reserved names, characters and endings, in any part of a path", () => {
  for (const [path, problem] of invalid) {
    assert.match(String(describeInvalidPath(path, "win32")), problem, path);
    assert.is(describeInvalidPath(path, "linux"), null);
  }
  for (const path of valid) assert.is(describeInvalidPath(path, "win32"), null, path);
});

if (isWindows) {
  test("every function that creates a file or a folder refuses them and creates nothing", () => {
    for (const name of ["CON", "nul.txt", "a:b", "a.", "a "]) {
      const path = join(folder, name);
      for (const create of [createRunFolder, (out: string) => writeFolder(out, () => {})])
        assert.throws(
          () => create(path),
          (error: Error) =>
            error instanceof UsageError && error.message.startsWith(`out: ${path} has `),
        );
      for (const write of [replaceFile, writeFile, saveTensor])
        assert.throws(
          () => write(path, "x"),
          (error: Error) => error instanceof FileError && error.message.startsWith(`${path}: has `),
        );
    }
    assert.equal(readdirSync(folder), []);
    writeFile("\\\\.\\nul", "x");
  });
}

function saveTensor(file: string): void {
  saveSafetensors(file, { x: tensor([1]) });
}

test("paths of more than 260 characters, the limit of many programs on Windows", () => {
  const long = join(folder, ...Array.from({ length: 25 }, () => "a name of 20 letters"));
  assert.ok(long.length > 500);
  createFolder(long);
  const lock = lockFolder(long);
  replaceFile(join(long, "a.txt"), "first\n");
  appendBytes(join(long, "a.txt"), Buffer.from("second\n"));
  saveTensor(join(long, "x.safetensors"));
  assert.equal(loadSafetensors(join(long, "x.safetensors")).x.toArray(), [1]);
  assert.is(readFileSync(join(long, "a.txt"), "utf8"), "first\nsecond\n");
  writeFolder(join(long, "new"), (inside) => writeFile(join(inside, "config.json"), "{}"));
  assert.ok(existsSync(join(long, "new", "config.json")));
  lock.release();
  assert.equal(readdirSync(long).sort(), ["a.txt", "new", "x.safetensors"]);
});

test.run();
