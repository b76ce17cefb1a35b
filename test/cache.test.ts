// The folder of cached files on each system.

import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { cacheFile } from "#src/cache.js";

const test = suite("cache");
const platform = Object.getOwnPropertyDescriptor(process, "platform") as PropertyDescriptor;
const { LOCALAPPDATA, XDG_CACHE_HOME } = process.env;

/** Returns the path of a cached file on a platform with these environment variables. */
function findFile(value: string, env: NodeJS.ProcessEnv): string {
  Object.defineProperty(process, "platform", { ...platform, value });
  for (const name of ["LOCALAPPDATA", "XDG_CACHE_HOME"]) delete process.env[name];
  try {
    Object.assign(process.env, env);
    return cacheFile("a.txt");
  } finally {
    Object.defineProperty(process, "platform", platform);
    for (const [name, old] of Object.entries({ LOCALAPPDATA, XDG_CACHE_HOME })) {
      if (old === undefined) delete process.env[name];
      else process.env[name] = old;
    }
  }
}

test("%LOCALAPPDATA% on Windows, $XDG_CACHE_HOME elsewhere, or ~/.cache", () => {
  const env = { LOCALAPPDATA: "local", XDG_CACHE_HOME: "xdg" };
  assert.is(findFile("win32", env), join("local", "tinybard", "a.txt"));
  assert.is(findFile("linux", env), join("xdg", "tinybard", "a.txt"));
  for (const value of ["win32", "linux"])
    for (const other of [{}, { LOCALAPPDATA: "", XDG_CACHE_HOME: "" }])
      assert.is(findFile(value, other), join(homedir(), ".cache", "tinybard", "a.txt"));
});

const isWindows = process.platform === "win32";
(isWindows ? test.skip : test)("only an own private folder replaces a read-only one", () => {
  const root = mkdtempSync(join(tmpdir(), "tinybard-cache-"));
  const file = join(root, "file");
  writeFileSync(file, "");
  const env = { XDG_CACHE_HOME: join(file, "cache") }; // below a file: also root cannot create it
  const fixed = join(file, "cache", "tinybard", "a.txt");
  const { TMPDIR } = process.env;
  try {
    process.env.TMPDIR = root;
    const folder = join(root, `tinybard-${process.getuid?.()}`);
    assert.is(findFile("linux", env), join(folder, "a.txt"));
    assert.is(findFile("linux", env), join(folder, "a.txt"));
    chmodSync(folder, 0o755);
    assert.is(findFile("linux", env), fixed);
    rmSync(folder, { recursive: true });
    mkdirSync(join(root, "other"), { mode: 0o700 });
    symlinkSync(join(root, "other"), folder);
    assert.is(findFile("linux", env), fixed);
    process.env.TMPDIR = join(file, "none");
    assert.is(findFile("linux", env), fixed);
  } finally {
    if (TMPDIR === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = TMPDIR;
    rmSync(root, { recursive: true });
  }
});

test.run();
