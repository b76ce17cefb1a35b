// scripts/install.cjs on a small project: what it builds, and what it says where it cannot.

import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("install");
const folder = mkdtempSync(join(tmpdir(), "tinybard-install-"));
test.after(() => rmSync(folder, { recursive: true, force: true }));

const prefix = join(dirname(process.execPath), "..");
const gyp = "node_modules/npm/node_modules/node-gyp/bin/node-gyp.js";
const nodeGyp =
  process.env.npm_config_node_gyp ??
  [join(prefix, "lib", gyp), join(dirname(process.execPath), gyp)].find(existsSync);
const nowhere = join(folder, "nowhere");

/** The addon in C++: it exports the number that `answer` gives. */
const source = (answer: string) => `
#include <node_api.h>
extern "C" int nobody();
NAPI_MODULE_INIT() {
  napi_value value;
  napi_create_int32(env, ${answer}, &value);
  napi_set_named_property(env, exports, "answer", value);
  return exports;
}
`;

/** A package of its own in folder/name, with the script and an addon to build. */
function project(name: string, code = source("42")) {
  const root = join(folder, name);
  const path = (file: string) => join(root, file);
  mkdirSync(path("scripts"), { recursive: true });
  const script = fileURLToPath(new URL("../scripts/install.cjs", import.meta.url));
  copyFileSync(script, path("scripts/install.cjs"));
  writeFileSync(path("package.json"), `{ "name": "small", "type": "module" }`);
  const target = { target_name: "cpu", sources: ["cpu.cc"] };
  writeFileSync(path("binding.gyp"), JSON.stringify({ targets: [target] }));
  writeFileSync(path("cpu.cc"), code);
  return {
    path,
    addon: path("build/Release/cpu.node"),
    log: () => readFileSync(path("build/install.log"), "utf8"),
    write: (text: string) => writeFileSync(path("cpu.cc"), text),
    install(env: Record<string, string | undefined> = {}, ...words: string[]) {
      const args = [path("scripts/install.cjs"), ...words];
      const { status, stdout, stderr } = spawnSync(process.execPath, args, {
        encoding: "utf8",
        cwd: folder, // the script finds its package by itself
        env: {
          ...process.env,
          npm_config_node_gyp: nodeGyp,
          TINYBARD_NATIVE: undefined,
          ...env,
        },
      });
      return { code: status, out: stdout, err: stderr };
    },
    /** What the addon exports, in a process of its own: a loaded file cannot be replaced. */
    answer() {
      const print = `console.log(require("./build/Release/cpu.node").answer)`;
      const { stdout } = spawnSync(process.execPath, ["-e", print], {
        cwd: root,
        encoding: "utf8",
      });
      return stdout.trim();
    },
  };
}

/** One line that says that the addon `problem`, what that means, where to read more, what to do. */
function complaint(problem: string): RegExp {
  const means = "without it, tinybard runs on its TypeScript kernels\\.";
  const todo = "Log: build/install\\.log; try again: npm run build:native";
  return new RegExp(`^tinybard: the C\\+\\+ addon ${problem}; ${means} ${todo}\n$`);
}

test("TINYBARD_NATIVE=skip builds nothing", () => {
  const { install, path } = project("skip");
  const { code, out, err } = install({ TINYBARD_NATIVE: "skip" });
  assert.is(code, 0);
  assert.match(out, /^tinybard: no C\+\+ addon built, for TINYBARD_NATIVE=skip\n$/);
  assert.is(err, "");
  assert.not.ok(existsSync(path("build")));
});

test("another value and an unknown argument are wrong usage", () => {
  const { install, path } = project("usage");
  const value = install({ TINYBARD_NATIVE: "yes" });
  assert.is(value.code, 1);
  assert.is(value.err, `tinybard: TINYBARD_NATIVE is "yes", expected skip, require or unset\n`);
  const word = install({}, "--force");
  assert.is(word.code, 1);
  assert.is(word.err, `tinybard: unknown argument "--force", expected --require or nothing\n`);
  assert.not.ok(existsSync(path("build")));
});

if (process.platform === "win32") {
  console.log("skipped: install: tools are looked for on Linux and macOS");
} else {
  test("without a C++ compiler: one line, and exit code 1 only where the addon is required", () => {
    const { install, addon, log } = project("compiler");
    const none = { CC: nowhere, CXX: nowhere };
    const said = complaint(
      `was not built \\(.*no C\\+\\+ compiler: CXX is ${nowhere}, which .*\\)`,
    );
    for (const [env, words, expected] of [
      [{}, [], 0],
      [{ TINYBARD_NATIVE: "" }, [], 0],
      [{ TINYBARD_NATIVE: "require" }, [], 1],
      [{ TINYBARD_NATIVE: "skip" }, ["--require"], 1], // the flag is stronger
    ] as const) {
      const { code, out, err } = install({ ...none, ...env }, ...words);
      assert.is(code, expected);
      assert.is(out, "");
      assert.match(err, said);
    }
    assert.match(log(), `$ ${nowhere} --version\n`);
    assert.not.ok(existsSync(addon));
  });

  test("without any tool: the line names them all", () => {
    const names = ["CXX", "MAKE", "PYTHON", "NODE_GYP_FORCE_PYTHON"];
    const env: Record<string, string | undefined> = { PATH: nowhere };
    for (const name of [...names, "npm_config_make", "npm_config_python"]) env[name] = undefined;
    const { code, err } = project("bare").install(env);
    assert.is(code, 0);
    assert.match(err, complaint("was not built \\(no Python 3: .*; no g?make: .*; no C.*\\)"));
  });
}

test("a build folder that cannot be made: one line, without a log", () => {
  const { install, path } = project("folder");
  writeFileSync(path("build"), "");
  const { code, err } = install();
  assert.is(code, 0);
  assert.match(
    err,
    /^tinybard: the C\+\+ addon was not built \(E.*\);.* kernels\. try again: .*\n$/,
  );
});

const lacks = missing();
if (lacks) {
  console.log(`skipped: install: building a small addon: no ${lacks}`);
} else {
  test("builds an addon that loads, and a second time after a change", () => {
    const { install, write, addon, answer, log } = project("good");
    const first = install({ TINYBARD_NATIVE: "require" });
    assert.is(first.code, 0, first.err);
    assert.is(first.out, "tinybard: the C++ addon is built\n");
    assert.is(first.err, "");
    assert.is(answer(), "42");
    assert.match(log(), "gyp info ok");

    const bytes = readFileSync(addon);
    write("not C++\n");
    for (const [env, expected] of [
      [{}, 0],
      [{ TINYBARD_NATIVE: "require", npm_config_loglevel: "silent" }, 1],
    ] as const) {
      const { code, out, err } = install(env);
      assert.is(code, expected);
      assert.is(out, "");
      assert.match(err, complaint("was not built \\(cpu\\.cc:1:1: error: .*\\)"));
      assert.match(log(), "gyp ERR! not ok");
    }
    assert.ok(readFileSync(addon).equals(bytes), "the older addon has changed");

    write(source("43"));
    const { code, err } = install({}, "--require");
    assert.is(code, 0, err);
    assert.is(answer(), "43");
  });

  test("an addon that does not load is a failure", () => {
    const { install } = project("unloadable", source("nobody()"));
    const { code, err } = install();
    assert.is(code, 0);
    assert.match(err, complaint("was built but does not load \\(.*nobody.*\\)"));
    const crash = project("crash", source("(__builtin_trap(), 1)")).install({}, "--require");
    assert.is(crash.code, 1);
    assert.match(crash.err, complaint("was built but does not load \\(killed by SIG[A-Z]+\\)"));
  });

  test("without node-gyp: the line says where it comes from", () => {
    const { install } = project("gyp");
    const { code, err } = install({ npm_config_node_gyp: nowhere, NODE_PATH: undefined });
    assert.is(code, 0);
    assert.match(err, complaint("was not built \\(no node-gyp: npm brings it, .*\\)"));
  });
}

/** What a build needs that is not here, looked for without the script's help. */
function missing(): string | undefined {
  const cxx = process.env.CXX ?? "c++";
  const tool = [cxx, "make", "python3"].find((name) => spawnSync(name, ["--version"]).status !== 0);
  if (tool) return tool;
  if (!nodeGyp) return "node-gyp";
  if (!existsSync(join(prefix, "include/node/node_api.h"))) return "headers beside Node";
}

test.run();
