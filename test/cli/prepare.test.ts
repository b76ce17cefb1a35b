// scripts/prepare.cjs on a small project with a compiler that only reports its arguments.

import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("prepare");
const folder = mkdtempSync(join(tmpdir(), "tinybard-prepare-"));
test.after(() => rmSync(folder, { recursive: true }));
const dist = join(folder, "dist");
const compiler = join(folder, "node_modules", "typescript", "bin", "tsc");
const program = `
const fs = require("fs");
fs.mkdirSync("dist", { recursive: true });
fs.writeFileSync("dist/" + process.argv.slice(2).join("+").replaceAll("/", "."), "");
console.log("compiled");
`;
mkdirSync(join(folder, "scripts"));
copyFileSync(
  fileURLToPath(new URL("../../scripts/prepare.cjs", import.meta.url)),
  join(folder, "scripts", "prepare.cjs"),
);

function prepare(...args: string[]) {
  const script = join(folder, "scripts", "prepare.cjs");
  return spawnSync(process.execPath, [script, ...args], { encoding: "utf8", cwd: tmpdir() });
}

test("without a compiler: a line, unless the package is compiled; no error", () => {
  const missing = prepare();
  assert.is(missing.status, 0);
  assert.match(missing.stderr, /^tinybard: dist\/ was not compiled: no TypeScript.*--omit=dev/);
  mkdirSync(dist);
  const compiled = prepare();
  assert.is(compiled.status, 0);
  assert.is(compiled.stderr, "");
});

test("compiles into dist/, with nothing on stdout; --pack removes old files first", () => {
  mkdirSync(join(compiler, ".."), { recursive: true });
  writeFileSync(compiler, program);
  writeFileSync(join(dist, "old.js"), "");
  for (const [args, files] of [
    [[], ["-b+src.web.page", "old.js"]],
    [["--pack"], ["-b+src.web.page"]],
  ] as const) {
    const { status, stdout, stderr } = prepare(...args);
    assert.is(status, 0, stderr);
    assert.is(stdout, "");
    assert.equal(readdirSync(dist), files);
  }
});

test("a failed compilation is an error", () => {
  writeFileSync(compiler, "process.exit(2)");
  const { status, stderr } = prepare("--pack");
  assert.is(status, 2);
  assert.match(stderr, /tsc -b src.web.page failed/);
  assert.not(existsSync(dist));
});

test.run();
