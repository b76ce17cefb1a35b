// Compiles the package into dist/: after `npm ci` in a clone, before the package is packed, and
// when a package manager prepares it as a dependency from a git repository. CommonJS, like
// install.cjs. Prints nothing on stdout, which belongs to `npm pack`.
//
// usage: node scripts/prepare.cjs [--pack | --publish]
// --pack: removes dist/ first, installs the compiler if it is missing, and builds prebuilds/: the
//   WebAssembly modules, and the C++ addons of the platforms whose compilers are installed.
// --publish: the same, and fails if one of them is missing, or if a second build of the WebAssembly
//   modules has other bytes.

"use strict";

const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");

const root = path.join(__dirname, "..");
const inRoot = (...parts) => path.join(root, ...parts);
const compiler = inRoot("node_modules", "typescript", "bin", "tsc");
const optionalPlatforms = ["darwin-x64", "darwin-arm64"]; // cannot be cross-compiled

main(process.argv[2]);

async function main(flag) {
  if (![undefined, "--pack", "--publish"].includes(flag)) {
    return fail(`unknown argument ${flag}, expected --pack, --publish or nothing`);
  }
  const packs = flag !== undefined;
  if (packs) {
    fs.rmSync(inRoot("dist"), { recursive: true, force: true });
    // A fresh clone: the compiler is a development dependency.
    if (!fs.existsSync(compiler)) runNpm(["ci", "--include=dev", "--ignore-scripts"]);
  }
  if (fs.existsSync(compiler)) {
    run(process.execPath, [compiler, "-b", "src/web/page"]);
  } else if (packs || !fs.existsSync(inRoot("dist"))) {
    const hint = "it is a development dependency, which --omit=dev leaves out";
    const message = `dist/ was not compiled: no TypeScript compiler (${hint})`;
    if (packs) fail(message);
    else console.error(`tinybard: ${message}`);
  }
  if (!packs) return;
  await buildModules();
  await buildAddons(flag === "--publish");
  if (flag === "--publish" && !process.exitCode) run(process.execPath, ["scripts/check-wasm.mjs"]);
}

/** Builds the WebAssembly modules, unless they are those of the sources, into the package. */
async function buildModules() {
  const { modules, packagedModules } = await import("./wasm.mjs");
  run(process.execPath, ["scripts/wasm.mjs", ...packagedModules]);
  fs.mkdirSync(inRoot("prebuilds", "wasm"), { recursive: true });
  for (const name of packagedModules) {
    const { file } = modules[name];
    fs.copyFileSync(inRoot("build-wasm", file), inRoot("prebuilds", "wasm", file));
  }
}

/** Builds the addons, and reports those that the package lacks. */
async function buildAddons(isPublished) {
  const { targets } = await import("./prebuild.mjs");
  const platforms = Object.keys(targets);
  run(process.execPath, ["scripts/prebuild.mjs"]);
  const isMissing = (name) => !fs.existsSync(inRoot("prebuilds", name, "cpu.node"));
  const missing = [...platforms, ...optionalPlatforms].filter(isMissing);
  if (missing.length > 0)
    console.error(`tinybard: the package has no prebuilt addon for ${missing.join(", ")}`);
  const required = missing.filter((name) => platforms.includes(name));
  if (isPublished && required.length > 0)
    fail(`cannot publish without addons for ${required.join(", ")}: see scripts/prebuild.mjs`);
}

/** Prints an error on one line. */
function fail(message) {
  console.error(`tinybard: ${message}`);
  process.exitCode = 1;
}

/** Runs npm, even if another package manager has started this script. */
function runNpm(args) {
  // npm sets npm_config_dry_run for the scripts of `npm pack --dry-run`.
  const flags = [...args, "--no-dry-run", "--no-audit", "--no-fund"];
  const { npm_execpath: program = "" } = process.env;
  if (path.basename(program) === "npm-cli.js") run(process.execPath, [program, ...flags]);
  else run("npm", flags, { shell: process.platform === "win32" });
}

/** Runs a command in the package's folder. Exits with its code if it fails. */
function run(command, args, options = {}) {
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    stdio: ["ignore", 2, 2], // its stdout goes to stderr
    ...options,
  });
  if (status === 0) return;
  console.error(
    `tinybard: ${command} ${args.join(" ")} failed${error ? `: ${error.message}` : ""}`,
  );
  process.exit(status ?? 1);
}
