// Tests of reading text and JSON files that are damaged, in another encoding, or not files at all.

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { readJSON, readJSONObject } from "#src/files/json.js";
import { FileError, readBytes, readText } from "#src/files/text.js";
import { canTestPipes, isWindows } from "../support/platform.js";

const test = suite("files/json");
const folder = mkdtempSync(join(tmpdir(), "tinybard-json-"));
test.after(() => rmSync(folder, { recursive: true }));

function write(content: string | Uint8Array): string {
  const file = join(folder, "a.json");
  writeFileSync(file, content);
  return file;
}

/** Asserts that an action throws a FileError whose message is the file's path and a problem. */
function assertFails(action: () => unknown, file: string, problem: RegExp): void {
  try {
    action();
  } catch (error) {
    assert.instance(error, FileError, String(error));
    const { message } = error as Error;
    assert.ok(message.startsWith(`${file}: `), message);
    assert.match(message.slice(file.length + 2), problem);
    return;
  }
  assert.unreachable(`${problem}: read`);
}

test("a byte order mark and Windows line ends are accepted", () => {
  assert.equal(readJSON(write('\ufeff{\r\n  "nLayer": 1\r\n}\r\n')), { nLayer: 1 });
  assert.equal(readJSONObject(write('{"a":[1]}')), { a: [1] });
  assert.is(readText(write("\ufeff#version\ufeff")), "#version\ufeff");
  assert.is(readText(write("")), "");
});

test("an error names the file, the line and the column", () => {
  for (const [content, problem] of [
    ['{\n  "a": 1,\n}', /^not valid JSON: .* \(line 3, column 1\)$/],
    ['{"a": 1 "b": 2}', /^not valid JSON: .* \(line 1, column 9\)$/],
    ['{"a": hello}', /^not valid JSON: Unexpected token 'h'/],
    ["", /^empty, expected JSON$/],
    ['{"\u001b[2J\n": x', /^not valid JSON: \P{Cc}*$/u],
  ] as const)
    assertFails(() => readJSON(write(content)), join(folder, "a.json"), problem);
  for (const content of ["[]", "null", "7", '"{}"'])
    assertFails(
      () => readJSONObject(write(content)),
      join(folder, "a.json"),
      /^not a JSON object$/,
    );
});

test("other encodings are named, with the first invalid byte", () => {
  const utf16 = Buffer.from("\ufeff{}", "utf16le");
  for (const content of [utf16, Buffer.from(utf16).swap16()])
    assertFails(
      () => readJSON(write(content)),
      join(folder, "a.json"),
      /^text in UTF-16, expected/,
    );
  const unmarked = Buffer.from("{}", "utf16le");
  assertFails(() => readJSON(write(unmarked)), join(folder, "a.json"), /^not JSON: .* UTF-16/);
  // around the boundaries of the chunks that the search reads, with characters of 1 to 4 bytes
  for (const text of ["a", "é", "漢", "👍"]) {
    for (const target of [0, 1, 65_530, 65_536, 65_540, 200_000]) {
      const valid = Buffer.from(text.repeat(Math.ceil(target / Buffer.byteLength(text))));
      const invalid = Buffer.concat([valid, Buffer.of(0xff), Buffer.from("bc")]);
      const offset = valid.length.toLocaleString("en-US");
      assertFails(
        () => readText(write(invalid)),
        join(folder, "a.json"),
        new RegExp(`^not text in UTF-8: the byte at offset ${offset} is invalid$`),
      );
    }
  }
});

test("only regular files of limited size are read", () => {
  const missing = join(folder, "missing.json");
  assertFails(() => readJSON(missing), missing, /^no such file \(ENOENT\)$/);
  const inner = join(folder, "folder.json");
  mkdirSync(inner);
  assertFails(() => readJSON(inner), inner, /^a folder, expected a file/);
  const file = write("{}");
  assert.is(readBytes(file, 2).length, 2);
  assertFails(() => readBytes(file, 1), file, /^has 2 bytes, expected at most 1$/);
  const size = isWindows ? 2 ** 31 : 2 ** 40; // sparse, unless on Windows
  truncateSync(file, size);
  const tooLarge = new RegExp(`^has ${size.toLocaleString("en-US")} bytes, expected at most`);
  assertFails(() => readJSON(file), file, tooLarge);
  assertFails(() => readText(file), file, tooLarge);
  if (!canTestPipes("a pipe or a device in place of a JSON file")) return;
  assertFails(() => readJSON("/dev/zero"), "/dev/zero", /^a device, expected a file$/);
  const pipe = join(folder, "pipe.json");
  execFileSync("mkfifo", [pipe]);
  assertFails(() => readJSON(pipe), pipe, /^a pipe, expected a file$/);
});

test.run();
