// Checks that the WebAssembly modules are those that the sources and the lock file determine:
// builds them again, from a copy of the sources in another folder, and compares the bytes with the
// modules in build-wasm/ and prebuilds/wasm/.
//
// usage: npm run check:wasm [-- MODULE...]
// MODULE: plain, relaxed or relaxed64; by default the first two. The environment variable NODE
// selects the Node program that builds them.

import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root, run } from "./compile.mjs";
import { modules, readArguments } from "./wasm.mjs";

const names = readArguments(process.argv.slice(2));
// the real path, because on macOS tmpdir() is a link, and wasm.mjs compares its path with its URL
const copy = realpathSync(mkdtempSync(join(tmpdir(), "tinybard-wasm-")));
let compared = 0;

/** Compares a module with its second build. */
function compare(folder, name) {
  const { file } = modules[name];
  const path = join(root, folder, file);
  if (!existsSync(path)) return;
  const hash = (path) => createHash("sha256").update(readFileSync(path)).digest("hex");
  const expected = hash(join(copy, "build-wasm", file));
  const found = hash(path);
  const isEqual = found === expected;
  compared++;
  if (!isEqual) process.exitCode = 1;
  const result = isEqual ? "equals" : `differs (${found}) from`;
  console.log(`${isEqual ? "pass" : "FAIL"}  ${folder}/${file} ${result} a new build, ${expected}`);
}

try {
  for (const path of ["native", "scripts", "package.json"])
    cpSync(join(root, path), join(copy, path), { recursive: true });
  // The compiler belongs to the checkout. npm has compared it with the hash in the lock file.
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"), "junction");
  const node = process.env.NODE ?? process.execPath;
  const code = await run(node, [join(copy, "scripts", "wasm.mjs"), ...names]);
  if (code !== 0) throw new Error("the build failed");
  for (const name of names)
    for (const folder of ["build-wasm", "prebuilds/wasm"]) compare(folder, name);
} finally {
  rmSync(copy, { recursive: true, force: true });
}
if (compared === 0) throw new Error("no modules: npm run build:wasm");
