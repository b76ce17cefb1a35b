// Compiles the package into dist/: after `npm ci` in a clone, before the package is packed, and
// when a package manager prepares it as a dependency from a git repository. CommonJS, like
// install.cjs. Prints nothing on stdout, which belongs to `npm pack`.
//
// usage: node scripts/prepare.cjs [--pack]
// --pack: removes dist/ first, and installs the compiler if it is missing.

"use strict";

const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");

const root = path.join(__dirname, "..");
const compiler = path.join(root, "node_modules", "typescript", "bin", "tsc");

main(process.argv.includes("--pack"));

function main(packs) {
  if (packs) {
    fs.rmSync(path.join(root, "dist"), { recursive: true, force: true });
    // A fresh clone: the compiler is a development dependency.
    if (!fs.existsSync(compiler)) runNpm(["ci", "--include=dev", "--ignore-scripts"]);
  }
  if (fs.existsSync(compiler)) {
    run(process.execPath, [compiler, "-b", "src/web/page"]);
  } else if (packs || !fs.existsSync(path.join(root, "dist"))) {
    const hint = "it is a development dependency, which --omit=dev leaves out";
    console.error(`tinybard: dist/ was not compiled: no TypeScript compiler (${hint})`);
    if (packs) process.exitCode = 1;
  }
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
