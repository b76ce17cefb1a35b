// Prepares a fast backend when the package is installed, and for `npm run build:native`.
// In a clone: builds the C++ addon, build/Release/cpu.node, from binding.gyp. Without a compiler,
// builds the WebAssembly module instead, which needs only a development dependency.
// In node_modules: the package contains prebuilt addons, and this builds one only where none of
// them works. tinybard also works without all this, so a failure prints one line and does not fail
// the installation. CommonJS, because it runs before anything is compiled.
//
// usage: node scripts/install.cjs [--require]
// --require: builds the C++ addon in any case; a failure exits with code 1.
// TINYBARD_NATIVE=require: a missing addon exits with code 1.
// TINYBARD_NATIVE=skip: builds nothing.

"use strict";

const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");

const root = path.join(__dirname, "..");
const logFile = path.join(root, "build", "install.log");
// As a dependency of another project: `npm run` there does not find this package's scripts.
const isDependency = root.split(path.sep).includes("node_modules");
const logName = isDependency ? logFile : "build/install.log";
const retry = isDependency ? `node "${__filename}" --require` : "npm run build:native";
const builtAddon = "build/Release/cpu.node";
const prebuiltAddon = `prebuilds/${process.platform}-${process.arch}/cpu.node`;
const moduleWithSpeed = "the WebAssembly module, which is 1.4 to 2 times slower.";
let log; // file descriptor of the log, opened before the first command runs

main(process.argv.slice(2));

async function main(args) {
  const unknown = args.find((arg) => arg !== "--require");
  if (unknown !== undefined) {
    return fail(`unknown argument ${JSON.stringify(unknown)}, expected --require or nothing`);
  }
  const isExplicit = args.length > 0;
  // The flag overrides the environment.
  const mode = isExplicit ? "require" : (process.env.TINYBARD_NATIVE ?? "");
  if (!["", "skip", "require"].includes(mode)) {
    return fail(`TINYBARD_NATIVE is ${JSON.stringify(mode)}, expected skip, require or unset`);
  }
  if (mode === "skip") {
    console.log("tinybard: skipped building the C++ addon (TINYBARD_NATIVE=skip)");
    return;
  }

  let problem = "was not built";
  try {
    fs.mkdirSync(path.dirname(logFile), { recursive: true });
    log = fs.openSync(logFile, "w");
    // npm prepares a dependency from a git repository in a temporary clone, packs it, and installs
    // the package, where this script runs again. An addon in the clone would be thrown away.
    if (process.env._PACOTE_NO_PREPARE_ && !isExplicit) return prepareForPacking();
    if (isDependency && !isExplicit && (await hasPrebuiltAddon())) return;
    build(findTools());
    problem = "was built but does not load";
    const error = findLoadError(builtAddon);
    if (error) throw new Error(error);
    console.log("tinybard: built the C++ addon");
  } catch (error) {
    const isRequired = mode === "require";
    const substitute = isRequired ? describeSubstitute() : findSubstitute();
    const line = [
      `the C++ addon ${problem} (${error.message});`,
      substitute,
      `${log === undefined ? "" : `Log: ${logName}; `}try again: ${retry}`,
    ];
    fail(line.join(" "), isRequired ? 1 : 0);
  }
}

/** Returns true if the package contains an addon that works on this machine. */
async function hasPrebuiltAddon() {
  if (!fs.existsSync(path.join(root, prebuiltAddon))) return false;
  const { usesMusl } = await import("../dist/backend/platform/files.js");
  return !usesMusl() && !findLoadError(prebuiltAddon);
}

/** In the temporary clone of a git dependency: adds the WebAssembly module where it is needed. */
function prepareForPacking() {
  try {
    findTools();
  } catch {
    if (buildModule() !== null) return; // then the TypeScript backend is used
    const folder = path.join(root, "prebuilds", "wasm");
    const name = "kernels-relaxed.wasm";
    fs.mkdirSync(folder, { recursive: true });
    fs.copyFileSync(path.join(root, "build-wasm", name), path.join(folder, name));
  }
}

/** In a clone, builds the WebAssembly module. Describes the backend that is used. */
function findSubstitute() {
  if (isDependency || log === undefined) return describeSubstitute();
  const problem = buildModule();
  if (problem === null) return `built ${moduleWithSpeed}`;
  return `the WebAssembly module was not built either (${problem}); ${describeSubstitute()}`;
}

/** Describes the backend that is used without the addon. */
function describeSubstitute() {
  const hasModule = ["build-wasm", "prebuilds/wasm"].some((folder) =>
    fs.existsSync(path.join(root, folder, "kernels-relaxed.wasm")),
  );
  return hasModule
    ? `tinybard uses ${moduleWithSpeed}`
    : "tinybard uses the TypeScript backend, which is 15 to 45 times slower.";
}

/** Builds the WebAssembly module for all versions of Node. Returns null, or the problem. */
function buildModule() {
  try {
    require.resolve("@yowasp/clang");
  } catch {
    return "no @yowasp/clang: a development dependency, which --omit=dev leaves out";
  }
  const { ok, outcome, output } = run(process.execPath, ["scripts/wasm.mjs", "relaxed"]);
  if (ok) return null;
  return /^\w*Error: (.*)$/m.exec(output)?.[1] ?? outcome;
}

/** Prints an error on one line. No process.exit(), which may truncate the output. */
function fail(message, code = 1) {
  console.error(`tinybard: ${message.replace(/\s+/g, " ")}`);
  process.exitCode = code;
}

/** Throws if a build tool is missing. Returns the environment that selects the compiler found. */
function findTools() {
  const { env, platform } = process;
  if (platform === "win32") return {}; // node-gyp finds Visual Studio
  // Without Apple's tools, /usr/bin has stand-ins for them, which open a window when they are run.
  if (platform === "darwin" && !run("xcode-select", ["-p"]).ok)
    throw new Error("no compiler tools: xcode-select --install installs them");
  const pythons = [
    env.NODE_GYP_FORCE_PYTHON,
    env.npm_config_python,
    env.PYTHON,
    "python3",
    "python",
  ];
  const isPython3 = ["-c", "import sys; print(sys.version); sys.exit(sys.version_info < (3, 6))"];
  const make = env.npm_config_make || env.MAKE || (platform.endsWith("bsd") ? "gmake" : "make");
  const compilers = env.CXX ? [env.CXX] : ["c++", "g++", "clang++"];
  // A command may have arguments, like "ccache g++".
  const works = (command) => {
    const [program, ...args] = command.trim().split(/\s+/);
    return run(program, [...args, "--version"]).ok;
  };
  const cxx = compilers.find(works);

  const missing = [];
  if (!pythons.some((python) => python && run(python, isPython3).ok)) {
    missing.push("no Python 3: install python3");
  }
  if (!works(make)) missing.push(`no ${make}: install it`);
  if (!cxx) {
    const fix = env.CXX ? `CXX is ${env.CXX}, which does not run` : "install g++ or clang++";
    missing.push(`no C++ compiler: ${fix}`);
  }
  if (missing.length === 0) return { CXX: cxx }; // make's default is g++, even if it is missing
  throw new Error(missing.join("; "));
}

/** Configures and compiles. Never uses `rebuild`, which deletes the last good addon first. */
function build(env) {
  const jobs = process.env.JOBS || "max";
  const args = [findNodeGyp(), "configure", "build", "--release", "--jobs", jobs];
  // Use the headers installed with Node, if any: otherwise node-gyp downloads them.
  const prefix = path.join(path.dirname(process.execPath), "..");
  if (fs.existsSync(path.join(prefix, "include", "node", "node_api.h"))) {
    args.push(`--nodedir=${prefix}`);
  }
  // With `npm -s`, npm_config_loglevel would otherwise leave the log empty.
  const { ok, outcome, output } = run(process.execPath, args, {
    ...env,
    npm_config_loglevel: "info",
  });
  if (ok) return;
  const requests = [...output.matchAll(/^gyp http (GET|200) (\S+)$/gm)];
  const [, state, url] = requests.at(-1) ?? [];
  if (state === "GET") throw new Error(`cannot download the headers of Node, ${url}`);
  const reported =
    /^.*: (?:fatal )?error\b.*$/m.exec(output) ?? // the first error of the compiler or linker
    /^(?:gyp: |gyp ERR! stack ).*$/m.exec(output);
  const message = reported?.[0].replace(/^(?:\.\.\/|gyp ERR! stack )/, "").slice(0, 200);
  throw new Error(message ?? outcome);
}

/** Returns the path of node-gyp: the development dependency, or the one bundled with npm. */
function findNodeGyp() {
  try {
    return require.resolve("node-gyp/bin/node-gyp.js");
  } catch {
    const folder = path.dirname(process.execPath);
    const inNpm = "node_modules/npm/node_modules/node-gyp/bin/node-gyp.js";
    const files = [
      process.env.npm_config_node_gyp ?? "",
      path.join(folder, inNpm), // on Windows
      path.join(folder, "..", "lib", inNpm),
    ];
    const bundled = files.find((file) => file && fs.existsSync(file));
    if (bundled) return bundled;
    throw new Error("no node-gyp: npm install node-gyp");
  }
}

/** Loads an addon in a process of its own, because it might crash. Returns null, or the error. */
function findLoadError(file) {
  const code = `require(${JSON.stringify(`./${file}`)})`;
  // Without LD_BIND_NOW, Linux reports an undefined function only when it is called.
  const { ok, outcome, output } = run(process.execPath, ["-e", code], { LD_BIND_NOW: "1" });
  return ok ? null : (/^\w*Error: (.*)$/m.exec(output)?.[1] ?? outcome);
}

/** Runs a command in the package's folder. Its output is appended to the log and returned. */
function run(command, args, env = {}) {
  fs.writeSync(log, `$ ${[command, ...args].join(" ")}\n`);
  const start = fs.fstatSync(log).size;
  const { status, signal, error } = spawnSync(command, args, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ["ignore", log, log],
    windowsHide: true,
  });
  if (error) fs.writeSync(log, `${error.message}\n`);
  const outcome = signal ? `killed by ${signal}` : `exit code ${status}`;
  const output = fs.readFileSync(logFile).subarray(start).toString();
  return { ok: status === 0, outcome, output };
}
