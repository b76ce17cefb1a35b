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

/** Stands in for scripts/prebuild.mjs: builds the addons of two platforms. */
const prebuild = `
import { mkdirSync, writeFileSync } from "node:fs";
export const targets = { "linux-x64": {}, "linux-arm64": {}, "win32-x64": {} };
if (process.argv[1].endsWith("prebuild.mjs")) {
  for (const name of ["linux-x64", "linux-arm64"]) {
    mkdirSync("prebuilds/" + name, { recursive: true });
    writeFileSync("prebuilds/" + name + "/cpu.node", "");
  }
  console.log("built");
}
`;
writeFileSync(join(folder, "scripts", "prebuild.mjs"), prebuild);

/** Stands in for scripts/wasm.mjs. */
const buildModules = `
import { mkdirSync, writeFileSync } from "node:fs";
export const modules = { small: { file: "small.wasm" }, fast: { file: "fast.wasm" }, other: {} };
export const packagedModules = ["small", "fast"];
if (process.argv[1].endsWith("wasm.mjs")) {
  mkdirSync("build-wasm", { recursive: true });
  for (const name of process.argv.slice(2)) writeFileSync("build-wasm/" + name + ".wasm", "module");
}
`;
writeFileSync(join(folder, "scripts", "wasm.mjs"), buildModules);
const checkModules = join(folder, "scripts", "check-wasm.mjs");

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
    const modules = join(folder, "prebuilds", "wasm");
    assert.equal(
      existsSync(modules) ? readdirSync(modules) : [],
      args.length > 0 ? ["fast.wasm", "small.wasm"] : [],
    );
  }
});

test("reports the platforms without an addon; publishing requires those that can be built", () => {
  const packed = prepare("--pack");
  assert.is(packed.status, 0);
  assert.match(packed.stderr, "no prebuilt addon for win32-x64, darwin-x64, darwin-arm64\n");
  const unpublished = prepare("--publish");
  assert.is(unpublished.status, 1);
  assert.match(unpublished.stderr, "cannot publish without addons for win32-x64: see");
  mkdirSync(join(folder, "prebuilds", "win32-x64"));
  writeFileSync(join(folder, "prebuilds", "win32-x64", "cpu.node"), "");
  writeFileSync(checkModules, "process.exit(3)");
  assert.is(prepare("--pack").status, 0);
  assert.is(prepare("--publish").status, 3); // the modules have other bytes
  writeFileSync(checkModules, "");
  const published = prepare("--publish");
  assert.is(published.status, 0, published.stderr);
  assert.match(published.stderr, "no prebuilt addon for darwin-x64, darwin-arm64\n");
  assert.match(prepare("--force").stderr, /unknown argument --force, expected --pack, --publish/);
});

test("a failed compilation is an error", () => {
  writeFileSync(compiler, "process.exit(2)");
  const { status, stderr } = prepare("--pack");
  assert.is(status, 2);
  assert.match(stderr, /tsc -b src.web.page failed/);
  assert.not(existsSync(dist));
});

test.run();
