// scripts/install.cjs on a small project: the addon that it builds, the WebAssembly module that it
// builds instead, the prebuilt addon that it leaves as it is, and the messages of its failures.

import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
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
const nodeModules = fileURLToPath(new URL("../../node_modules", import.meta.url));
const nowhere = join(folder, "nowhere");

// npm passes its configuration to scripts, and node-gyp reads it: where the headers of Node are, for
// example. These tests set their own.
const environment = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^npm_config_|_proxy$/i.test(name)),
);

/** C++ source of an addon that exports the value of the expression `answer`. */
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

/** Stands in for scripts/wasm.mjs, which takes half a minute. */
const moduleBuild = `
import { mkdirSync, writeFileSync } from "node:fs";
if (process.env.BROKEN_CLANG) throw new Error("no memory");
mkdirSync("build-wasm", { recursive: true });
for (const variant of process.argv.slice(2))
  writeFileSync("build-wasm/kernels-" + variant + ".wasm", "");
`;

/** Creates a package in folder/name, with a copy of the script and the source of an addon. */
function project(name: string, code = source("42")) {
  const root = join(folder, name);
  const path = (file: string) => join(root, file);
  mkdirSync(path("scripts"), { recursive: true });
  const script = fileURLToPath(new URL("../../scripts/install.cjs", import.meta.url));
  copyFileSync(script, path("scripts/install.cjs"));
  writeFileSync(path("package.json"), `{ "name": "small", "type": "module" }`);
  writeFileSync(path("scripts/wasm.mjs"), moduleBuild);
  const target = { target_name: "cpu", sources: ["cpu.cc"] };
  writeFileSync(path("binding.gyp"), JSON.stringify({ targets: [target] }));
  writeFileSync(path("cpu.cc"), code);
  const small = {
    path,
    addon: path("build/Release/cpu.node"),
    log: () => readFileSync(path("build/install.log"), "utf8"),
    write: (text: string) => writeFileSync(path("cpu.cc"), text),
    /** The program that runs the script. */
    node: process.execPath,
    install(env: Record<string, string | undefined> = {}, ...flags: string[]) {
      const args = [path("scripts/install.cjs"), ...flags];
      const { status, stdout, stderr } = spawnSync(small.node, args, {
        encoding: "utf8",
        cwd: folder, // the script does not depend on the working directory
        env: {
          ...environment,
          NODE_PATH: nodeModules, // where the script finds node-gyp
          TINYBARD_NATIVE: undefined,
          ...env,
        },
      });
      return { code: status, out: stdout, err: stderr };
    },
    /** Prints the export in a process of its own, because a loaded addon cannot be replaced. */
    answer() {
      const print = `console.log(require("./build/Release/cpu.node").answer)`;
      const { stdout } = spawnSync(process.execPath, ["-e", print], {
        cwd: root,
        encoding: "utf8",
      });
      return stdout.trim();
    },
  };
  return small;
}

const builtModule = "built the WebAssembly module, which is 1\\.4 to 2 times slower\\.";
const usesModule = "tinybard uses the WebAssembly module, which is 1\\.4 to 2 times slower\\.";
const usesTypeScript = "tinybard uses the TypeScript backend, which is 15 to 45 times slower\\.";

/** The line that is printed on failure: the problem, what is used, the log, and the next step. */
function failure(
  problem: string,
  substitute = builtModule,
  log = "build/install\\.log",
  retry = "npm run build:native",
) {
  const next = `Log: ${log}; try again: ${retry}`;
  return new RegExp(`^tinybard: the C\\+\\+ addon ${problem}; ${substitute} ${next}\n$`);
}

test("TINYBARD_NATIVE=skip builds nothing", () => {
  const { install, path } = project("skip");
  const { code, out, err } = install({ TINYBARD_NATIVE: "skip" });
  assert.is(code, 0);
  assert.match(out, /^tinybard: skipped building the C\+\+ addon \(TINYBARD_NATIVE=skip\)\n$/);
  assert.is(err, "");
  assert.not.ok(existsSync(path("build")));
});

test("in npm's temporary clone of a git dependency: builds nothing, unless it is required", () => {
  const { install, path } = project("clone");
  const env = { _PACOTE_NO_PREPARE_: "git+file:///x", CXX: nowhere };
  const { code, out, err } = install(env);
  assert.equal([code, out, err], [0, "", ""]);
  assert.not.ok(existsSync(path("build/Release")));
  assert.is(install(env, "--require").code, 1);
});

test("in that clone, without a compiler: adds the WebAssembly module to the package", () => {
  const { install, path } = project("packed");
  const env = { _PACOTE_NO_PREPARE_: "git+file:///x", PATH: nowhere };
  const { code, out, err } = install(env);
  assert.equal([code, out, err], [0, "", ""]);
  assert.not.ok(existsSync(path("build/Release")));
  if (process.platform !== "win32")
    assert.ok(existsSync(path("prebuilds/wasm/kernels-relaxed.wasm")));
});

test("an unknown value or argument is an error", () => {
  const { install, path } = project("usage");
  const value = install({ TINYBARD_NATIVE: "yes" });
  assert.is(value.code, 1);
  assert.is(value.err, `tinybard: TINYBARD_NATIVE is "yes", expected skip, require or unset\n`);
  const flag = install({}, "--force");
  assert.is(flag.code, 1);
  assert.is(flag.err, `tinybard: unknown argument "--force", expected --require or nothing\n`);
  assert.not.ok(existsSync(path("build")));
});

if (process.platform === "win32") {
  console.log("skipped: install: the script looks for tools on Linux and macOS only");
} else {
  test("without a C++ compiler: one line, and exit code 1 only where the addon is required", () => {
    const { install, addon, log, path } = project("compiler");
    const none = { CC: nowhere, CXX: nowhere };
    const problem = `was not built \\(.*no C\\+\\+ compiler: CXX is ${nowhere}, which .*\\)`;
    for (const [env, flags, expected, substitute] of [
      [{ TINYBARD_NATIVE: "require" }, [], 1, usesTypeScript],
      [{}, [], 0, builtModule],
      [{ TINYBARD_NATIVE: "" }, [], 0, builtModule],
      [{ TINYBARD_NATIVE: "skip" }, ["--require"], 1, usesModule], // the flag has precedence
    ] as const) {
      const { code, out, err } = install({ ...none, ...env }, ...flags);
      assert.is(code, expected);
      assert.is(out, "");
      assert.match(err, failure(problem, substitute));
    }
    assert.ok(existsSync(path("build-wasm/kernels-relaxed.wasm")));
    assert.match(log(), `$ ${nowhere} --version\n`);
    assert.not.ok(existsSync(addon));
  });

  test("without a C++ compiler and @yowasp/clang, or if it fails: the line says so", () => {
    const { install } = project("typescript");
    for (const [env, reason] of [
      [{ NODE_PATH: undefined }, "no @yowasp/clang: a development dependency, .* --omit=dev .*"],
      [{ BROKEN_CLANG: "1" }, "no memory"],
    ] as const) {
      const { code, err } = install({ CXX: nowhere, ...env });
      const module = `the WebAssembly module was not built either \\(${reason}\\); `;
      assert.is(code, 0);
      assert.match(err, failure("was not built \\(.*\\)", module + usesTypeScript));
    }
  });

  test("on macOS without Apple's tools: their stand-ins are not run, which open a window", () => {
    const { install, path } = project("macos");
    const commands: Record<string, string> = { "xcode-select": "exit 2" };
    for (const name of ["python3", "python", "make", "c++", "g++", "clang++"])
      commands[name] = `touch "${path("window")}"`;
    mkdirSync(path("bin"));
    for (const [name, code] of Object.entries(commands))
      writeFileSync(path(`bin/${name}`), `#!/bin/sh\n${code}\n`, { mode: 0o755 });
    const mac = path("mac.cjs");
    writeFileSync(mac, `Object.defineProperty(process, "platform", { value: "darwin" });`);
    const search = `${path("bin")}:${process.env.PATH}`;
    const { code, err } = install({ PATH: search, NODE_OPTIONS: `--require ${mac}` });
    assert.is(code, 0);
    const problem = "no compiler tools: xcode-select --install installs them";
    assert.match(err, failure(`was not built \\(${problem}\\)`));
    assert.not.ok(existsSync(path("window")));
  });

  test("without any tool: the line names all of them", () => {
    const names = ["CXX", "MAKE", "PYTHON", "NODE_GYP_FORCE_PYTHON"];
    const env: Record<string, string | undefined> = { PATH: nowhere };
    for (const name of [...names, "npm_config_make", "npm_config_python"]) env[name] = undefined;
    const { code, err } = project("bare").install(env);
    assert.is(code, 0);
    assert.match(err, failure("was not built \\(no Python 3: .*; no g?make: .*; no C.*\\)"));
  });
}

test("a build folder that cannot be created: one line, without a log", () => {
  const { install, path } = project("folder");
  writeFileSync(path("build"), "");
  const { code, err } = install();
  assert.is(code, 0);
  assert.match(
    err,
    /^tinybard: the C\+\+ addon was not built \(E.*\);.* backend, .* try again: .*\n$/,
  );
});

const missing = findMissing();
if (missing) {
  console.log(`skipped: install: building a small addon: no ${missing}`);
} else {
  test("builds an addon that loads, and rebuilds it after a change", () => {
    const { install, write, addon, answer, log } = project("good");
    const first = install({ TINYBARD_NATIVE: "require" });
    assert.is(first.code, 0, first.err);
    assert.is(first.out, "tinybard: built the C++ addon\n");
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
      const problem = "was not built \\(cpu\\.cc:1:1: error: .*\\)";
      assert.match(err, failure(problem, expected ? usesModule : builtModule));
      assert.match(log(), "gyp ERR! not ok");
    }
    assert.ok(readFileSync(addon).equals(bytes), "the last good addon has changed");

    write(source("43"));
    const { code, err } = install({}, "--require");
    assert.is(code, 0, err);
    assert.is(answer(), "43");
  });

  test("an addon that does not load is a failure", () => {
    const { install } = project("unloadable", source("nobody()"));
    const { code, err } = install();
    assert.is(code, 0);
    assert.match(err, failure("was built but does not load \\(.*nobody.*\\)"));
    const crash = project("crash", source("(__builtin_trap(), 1)")).install({}, "--require");
    assert.is(crash.code, 1);
    const problem = "was built but does not load \\(killed by SIG[A-Z]+\\)";
    assert.match(crash.err, failure(problem, usesTypeScript));
  });

  test("the line says that node-gyp is missing, or the headers; npm's node-gyp is used", () => {
    const copied = project("gyp");
    copied.node = copied.path("bin/node"); // has no npm next to it
    mkdirSync(copied.path("bin"));
    copyFileSync(process.execPath, copied.node);
    const env = { NODE_PATH: undefined };
    const none = copied.install(env);
    assert.is(none.code, 0);
    assert.match(none.err, /was not built \(no node-gyp: npm install node-gyp\);/);

    const withoutHeaders = copied.install({
      npm_config_disturl: "http://127.0.0.1:9/",
      npm_config_devdir: copied.path("headers"), // none is there yet
    });
    assert.match(
      withoutHeaders.err,
      /was not built \(cannot download the headers of Node, http:\/\/127\.0\.0\.1:9\/\S+\);/,
    );

    const folder = copied.path("lib/node_modules/npm/node_modules/node-gyp/bin");
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "node-gyp.js"), `throw new Error("gyp of npm")`);
    const { code } = copied.install(env);
    assert.is(code, 0);
    assert.match(copied.log(), "gyp of npm");
  });

  test("as a dependency: the line has full paths, and a command that works in any folder", () => {
    const { install, path, write, answer } = project("node_modules/tinybard", "not C++\n");
    const { code, err } = install();
    assert.is(code, 0);
    const [log, script] = ["build/install.log", "scripts/install.cjs"].map(path);
    const expected = failure(
      "was not built \\(.*\\)",
      usesTypeScript,
      log,
      `node "${script}" --require`,
    );
    assert.match(err, expected);
    assert.not.ok(existsSync(path("build-wasm"))); // its compiler is a development dependency
    mkdirSync(path("prebuilds/wasm"), { recursive: true });
    writeFileSync(path("prebuilds/wasm/kernels-relaxed.wasm"), "");
    assert.match(install().err, new RegExp(usesModule));
    write(source("44"));
    assert.is(install({}, "--require").code, 0);
    assert.is(answer(), "44");
  });

  test("as a dependency: builds nothing if the loader takes the addon of the package", () => {
    const { install, path, addon, answer } = project("prebuilt/node_modules/tinybard");
    const folder = path(`prebuilds/${process.platform}-${process.arch}`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "cpu.node"), "built for another system");
    mkdirSync(path("dist/backend/platform"), { recursive: true });
    const loader = path("dist/backend/platform/files.js");
    writeFileSync(loader, "export const usesMusl = () => process.env.MUSL === '1';");
    assert.is(install().out, "tinybard: built the C++ addon\n");
    renameSync(addon, join(folder, "cpu.node"));
    assert.is(install({ MUSL: "1" }).out, "tinybard: built the C++ addon\n");
    rmSync(addon);
    for (const mode of ["", "require"]) {
      const { code, out, err } = install({ TINYBARD_NATIVE: mode });
      assert.equal([code, out, err], [0, "", ""]);
      assert.not.ok(existsSync(addon));
    }
    assert.is(install({}, "--require").code, 0); // builds in any case
    assert.is(answer(), "42");
  });
}

/** Returns a build requirement that is not installed, found independently of the script. */
function findMissing(): string | undefined {
  const cxx = process.env.CXX ?? "c++";
  const tool = [cxx, "make", "python3"].find((name) => spawnSync(name, ["--version"]).status !== 0);
  if (tool) return tool;
  if (!existsSync(join(nodeModules, "node-gyp"))) return "node-gyp";
  if (!existsSync(join(prefix, "include/node/node_api.h"))) return "headers next to Node";
}

test.run();
