// Builds the C++ addon, build/Release/cpu.node, from binding.gyp: when the package is installed,
// and for `npm run build:native`. tinybard runs without it too, so a failure costs a line and not
// the installation. CommonJS without dependencies, for it runs before anything is built.
//
// usage: node scripts/install.cjs [--require]
// TINYBARD_NATIVE=skip: do nothing; =require, or --require: a failure ends with exit code 1.

"use strict";

const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");

const root = path.join(__dirname, "..");
const logFile = path.join(root, "build", "install.log");
const headers = path.join(path.dirname(process.execPath), "..");
let log; // the open log; nothing is run before it is open

main(process.argv.slice(2));

function main(words) {
  const unknown = words.find((word) => word !== "--require");
  if (unknown !== undefined) {
    return fail(`unknown argument ${JSON.stringify(unknown)}, expected --require or nothing`);
  }
  // Who asks for the addon by the flag gets it, whatever the environment says.
  const mode = words.length > 0 ? "require" : (process.env.TINYBARD_NATIVE ?? "");
  if (!["", "skip", "require"].includes(mode)) {
    return fail(`TINYBARD_NATIVE is ${JSON.stringify(mode)}, expected skip, require or unset`);
  }
  if (mode === "skip") return console.log("tinybard: no C++ addon built, for TINYBARD_NATIVE=skip");

  let problem = "was not built";
  try {
    fs.mkdirSync(path.dirname(logFile), { recursive: true });
    log = fs.openSync(logFile, "w");
    build(process.platform === "win32" ? {} : probe());
    problem = "was built but does not load";
    load();
    console.log("tinybard: the C++ addon is built");
  } catch (error) {
    const where = log === undefined ? "" : "Log: build/install.log; ";
    const line = [
      `the C++ addon ${problem} (${error.message});`,
      "without it, tinybard runs on its TypeScript kernels.",
      `${where}try again: npm run build:native`,
    ];
    fail(line.join(" "), mode === "require" ? 1 : 0);
  }
}

/** Says on one line what is wrong. No process.exit(), which may cut the line off. */
function fail(line, code = 1) {
  console.error(`tinybard: ${line.replace(/\s+/g, " ")}`);
  process.exitCode = code;
}

/** Are the tools there? Returns the environment in which make takes the compiler found. */
function probe() {
  const { env, platform } = process;
  const pythons = [env.NODE_GYP_FORCE_PYTHON, env.npm_config_python, env.PYTHON, "python3"];
  const isPython3 = ["-c", "import sys; print(sys.version); sys.exit(sys.version_info < (3, 6))"];
  const make = env.npm_config_make || env.MAKE || (platform.endsWith("bsd") ? "gmake" : "make");
  const compilers = env.CXX ? [env.CXX] : ["c++", "g++", "clang++"];
  const works = (command) => run(...command.trim().split(/\s+/), "--version").ok; // "ccache g++"
  const cxx = compilers.find(works);

  const missing = [];
  if (![...pythons, "python"].some((python) => python && run(python, ...isPython3).ok)) {
    missing.push("no Python 3: install python3");
  }
  if (!works(make)) missing.push(`no ${make}: install it`);
  if (!cxx) {
    const why = env.CXX ? `CXX is ${env.CXX}, which does not run` : "install g++ or clang++";
    missing.push(`no C++ compiler: ${why}`);
  }
  if (missing.length === 0) return { CXX: cxx }; // make would take g++, even where there is none
  if (platform === "darwin") missing.push("xcode-select --install brings them");
  throw new Error(missing.join("; "));
}

/** Configures and compiles. Never `rebuild`, which would delete the last good addon first. */
function build(env) {
  const words = ["configure", "build", "--release", "--jobs", process.env.JOBS || "max"];
  // Node's own headers where they lie beside it, or node-gyp would download them.
  if (fs.existsSync(path.join(headers, "include", "node", "node_api.h"))) {
    words.push(`--nodedir=${headers}`);
  }
  Object.assign(process.env, env, { npm_config_loglevel: "info" }); // `npm -s` would empty the log
  const { ok, ended, output } = run(process.execPath, nodeGyp(), ...words);
  if (ok) return;
  const said =
    /^.*: (?:fatal )?error\b.*$/m.exec(output) ?? // the compiler's first error, or the linker's
    /^(?:gyp: |gyp ERR! stack ).*$/m.exec(output);
  throw new Error(said?.[0].replace(/^(?:\.\.\/|gyp ERR! stack )/, "").slice(0, 200) ?? ended);
}

/** node-gyp: the one that npm brings and names to its scripts, or an installed one. */
function nodeGyp() {
  const named = process.env.npm_config_node_gyp;
  if (named && fs.existsSync(named)) return named;
  try {
    return require.resolve("node-gyp/bin/node-gyp.js");
  } catch {
    throw new Error("no node-gyp: npm brings it, so start this as an npm script");
  }
}

/** Loads the addon in a process of its own, which it may crash. */
function load() {
  process.env.LD_BIND_NOW = "1"; // or Linux would miss a function only when it is called
  const code = "require('./build/Release/cpu.node')";
  const { ok, ended, output } = run(process.execPath, "-e", code);
  if (!ok) throw new Error(/^\w*Error: (.*)$/m.exec(output)?.[1] ?? ended);
}

/** Runs a command in the package's folder; what it says goes to the log and is returned. */
function run(command, ...words) {
  fs.writeSync(log, `$ ${[command, ...words].join(" ")}\n`);
  const start = fs.fstatSync(log).size;
  const { status, signal, error } = spawnSync(command, words, {
    cwd: root,
    stdio: ["ignore", log, log],
    windowsHide: true,
  });
  if (error) fs.writeSync(log, `${error.message}\n`);
  const ended = signal ? `killed by ${signal}` : `exit code ${status}`;
  const output = fs.readFileSync(logFile).subarray(start).toString();
  return { ok: status === 0, ended, output };
}
