// Tests the published package: packs it, installs it in an empty project with each package manager,
// and trains two steps with it. usage: npm run test:pack [npm] [pnpm] [yarn] [bun]
// By default: all package managers on the PATH. Needs the registry, and a compiler for the addon.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const managers = {
  npm: { add: ["install"], exec: ["npx", "--no"], rebuild: "npm rebuild tinybard" },
  pnpm: { add: ["add"], exec: ["pnpm", "exec"], rebuild: "pnpm approve-builds" },
  yarn: { add: ["add"], exec: ["yarn", "--silent", "run"], rebuild: "npm rebuild tinybard" },
  bun: { add: ["add"], exec: ["bun", "run"], rebuild: "bun pm trust tinybard" },
};
const temporary = mkdtempSync(join(tmpdir(), "tinybard-pack-"));
let passed = 0;
let failed = 0;

/** Runs a command in a folder; returns its exit code and all its output. */
function run(cwd, [command, ...args], env = {}) {
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd,
    encoding: "utf8",
    env: { ...process.env, XDG_CACHE_HOME: join(temporary, "cache"), ...env },
    shell: process.platform === "win32",
  });
  return { status, output: `${stdout ?? ""}${stderr ?? ""}` };
}

/** Counts and prints the result of one check. */
function check(name, isGood, output) {
  if (isGood) passed++;
  else failed++;
  console.log(isGood ? `pass  ${name}` : `FAIL  ${name}\n${output}`);
}

/** Installs the package in an empty project, and runs it. */
function testManager(name, tarball) {
  const { add, exec, rebuild } = managers[name];
  const project = join(temporary, name);
  mkdirSync(project);
  writeFileSync(join(project, "package.json"), `{ "name": "empty", "private": true }`);
  writeFileSync(
    join(project, "text.txt"),
    "To be, or not to be, that is the question:\n".repeat(200),
  );

  const install = run(project, [name, ...add, tarball]);
  check(`${name}: install`, install.status === 0, install.output);
  const addon = join(project, "node_modules/tinybard/build/Release/cpu.node");
  const program = [...exec, "tinybard"];
  if (!existsSync(addon)) {
    // Some package managers do not run the install scripts of dependencies.
    const { output } = run(project, [...program, "doctor"]);
    const isNamed = output.includes(rebuild);
    check(`${name}: doctor names the command that builds the addon`, isNamed, output);
    const script = join(project, "node_modules/tinybard/scripts/install.cjs");
    const build = run(project, [process.execPath, script, "--require"]);
    check(`${name}: build the addon`, build.status === 0, build.output);
  }
  check(`${name}: the C++ addon is built`, existsSync(addon), install.output);

  const isCompiled = /> tinybard@\S+ prepare/.test(install.output);
  check(`${name}: the package is not compiled again`, !isCompiled, install.output);
  const help = run(project, [...program, "train", "--help"]).output;
  check(`${name}: train --help names texts that exist`, !help.includes("moby-dick"), help);
  const bench = run(project, [...program, "bench", "--help"]);
  check(`${name}: bench --help`, bench.status === 0, bench.output);
  const wrong = run(project, [...program, "sample"]).output;
  check(`${name}: hints name npx tinybard`, wrong.includes("npx tinybard train"), wrong);

  const steps = ["--max-iters", "2", "--eval-iters", "1"];
  for (const device of ["ts", "cpu"]) {
    const args = ["train", "--data", "text.txt", "--device", device, ...steps];
    const train = run(project, [...program, ...args, "--out", `run-${device}`]);
    check(`${name}: train on ${device}`, train.status === 0, train.output);
  }
  const noText = run(project, [...program, "train"], { TINYBARD_DATA: "" });
  const isHelpful = noText.status !== 0 && /--data FILE.*--data shakespeare/.test(noText.output);
  check(`${name}: train without a text names the choices`, isHelpful, noText.output);
}

try {
  const requested = process.argv.slice(2);
  const unknown = requested.find((name) => !Object.hasOwn(managers, name));
  if (unknown) throw new Error(`unknown package manager ${unknown}`);
  const pack = run(root, ["npm", "pack", "--silent", "--pack-destination", temporary]);
  if (pack.status !== 0) throw new Error(pack.output);
  const tarball = join(temporary, pack.output.trim().split("\n").at(-1));
  for (const name of requested.length > 0 ? requested : Object.keys(managers)) {
    if (run(temporary, [name, "--version"]).status === 0) testManager(name, tarball);
    else console.log(`skipped: ${name} is not installed`);
  }
} finally {
  rmSync(temporary, { recursive: true, force: true });
}
console.log(`\n${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
