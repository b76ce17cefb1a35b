// The folder of cached files on each system.

import { homedir } from "node:os";
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

test.run();
