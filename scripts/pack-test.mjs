// Tests the published package: packs it, installs it in empty projects with each package manager,
// with install scripts disabled and enabled, and trains two steps on each device. Where the package
// contains an addon for this platform, it must be used.
// usage: npm run test:pack [npm] [pnpm] [yarn] [bun]
// By default: all package managers on the PATH. Needs the registry, and a C++ compiler.

import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
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
const prebuilt = `prebuilds/${process.platform}-${process.arch}/cpu.node`;
const built = "build/Release/cpu.node";
const temporary = mkdtempSync(join(tmpdir(), "tinybard-pack-"));
let passed = 0;
let failed = 0;

/**
 * Runs a command in a folder. Returns its exit code, all its output, and the seconds until the
 * output matched `awaited`.
 */
function run(cwd, [command, ...args], env = {}, awaited = /$^/) {
  const start = performance.now();
  const child = spawn(command, args, {
    cwd,
    env: { ...process.env, XDG_CACHE_HOME: join(temporary, "cache"), ...env },
    shell: process.platform === "win32",
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  let seconds;
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => {
      output += text;
      if (awaited.test(output)) seconds ??= (performance.now() - start) / 1000;
    });
  }
  return new Promise((resolve) => {
    child.on("error", (error) => resolve({ status: null, output: error.message }));
    child.on("close", (status) => resolve({ status, output, seconds }));
  });
}

/** Counts and prints the result of one check. */
function check(name, isGood, output) {
  if (isGood) passed++;
  else failed++;
  console.log(isGood ? `pass  ${name}` : `FAIL  ${name}\n${output}`);
}

/** Installs the package in an empty project; returns functions that check it. */
async function install(manager, title, tarball, ...flags) {
  const { add, exec } = managers[manager];
  const project = join(temporary, title.replaceAll(/\W+/g, "-"));
  const inPackage = (file) => join(project, "node_modules", "tinybard", file);
  mkdirSync(project);
  writeFileSync(join(project, "package.json"), `{ "name": "empty", "private": true }`);
  writeFileSync(
    join(project, "text.txt"),
    "To be, or not to be, that is the question:\n".repeat(200),
  );
  const program = (...args) => [...exec, "tinybard", ...args];
  const start = performance.now();
  const installed = await run(project, [manager, ...add, ...flags, tarball]);
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  check(`${title}: install (${seconds} s)`, installed.status === 0, installed.output);
  return {
    project,
    inPackage,
    program,
    output: installed.output,
    /** Trains two steps on a device, and checks which one is used. */
    async train(expected, device = "auto", details = "") {
      const out = join(project, `run-${device}-${expected}`);
      const steps = ["--max-iters", "2", "--eval-iters", "1", "--out", out];
      const args = program("train", "--data", "text.txt", "--device", device, ...steps);
      const { status, output, seconds } = await run(project, args, {}, /^iter 0/m);
      const isUsed = output.includes(`device: ${expected}`) && output.includes(details);
      const took = seconds?.toFixed(1);
      const name = `${title}: train on ${device} uses ${expected}${details && `, ${details}`}`;
      check(`${name} (first step after ${took} s)`, status === 0 && isUsed, output);
    },
  };
}

/** Without install scripts: everything works from the files in the package. */
async function testWithoutScripts(manager, tarball) {
  const title = `${manager} without install scripts`;
  const flags = manager === "bun" ? [] : ["--ignore-scripts"]; // bun runs none by default
  const { project, inPackage, program, train } = await install(manager, title, tarball, ...flags);
  check(`${title}: nothing is built`, !existsSync(inPackage("build")), "");
  if (existsSync(inPackage(prebuilt))) {
    await train("cpu");
    renameSync(inPackage(prebuilt), inPackage("moved.node"));
  }
  const { rebuild } = managers[manager];
  await train("wasm", "auto", rebuild); // says how to build the addon
  await train("wasm", "wasm");
  await train("ts", "ts");

  const doctor = await run(project, program("doctor"));
  check(`${title}: doctor names ${rebuild}`, doctor.output.includes(rebuild), doctor.output);
  const help = (await run(project, program("train", "--help"))).output;
  check(`${title}: train --help names texts that exist`, !help.includes("moby-dick"), help);
  const bench = await run(project, program("bench", "--help"));
  check(`${title}: bench --help`, bench.status === 0, bench.output);
  const wrong = (await run(project, program("sample"))).output;
  check(`${title}: hints name npx tinybard`, wrong.includes("npx tinybard train"), wrong);
  const noText = await run(project, program("train"), { TINYBARD_DATA: "" });
  const isHelpful = noText.status !== 0 && /--data FILE.*--data shakespeare/.test(noText.output);
  check(`${title}: train without a text names the choices`, isHelpful, noText.output);
}

/** With install scripts: an addon is built only if the package contains none that works. */
async function testWithScripts(manager, tarball) {
  const title = `${manager} with install scripts`;
  const { project, inPackage, train, output } = await install(manager, title, tarball);
  const isCompiled = /> tinybard@\S+ prepare/.test(output);
  check(`${title}: the package is not compiled again`, !isCompiled, output);
  if (existsSync(inPackage(prebuilt))) {
    check(`${title}: uses the prebuilt addon`, !existsSync(inPackage(built)), output);
  }
  const script = inPackage("scripts/install.cjs");
  const build = await run(project, [process.execPath, script, "--require"]);
  check(`${title}: build the addon`, existsSync(inPackage(built)), build.output);
  rmSync(inPackage("prebuilds"), { recursive: true, force: true });
  await train("cpu");
}

try {
  const requested = process.argv.slice(2);
  const unknown = requested.find((name) => !Object.hasOwn(managers, name));
  if (unknown) throw new Error(`unknown package manager ${unknown}`);
  const pack = await run(root, ["npm", "pack", "--silent", "--pack-destination", temporary]);
  if (pack.status !== 0) throw new Error(pack.output);
  console.log(pack.output.trim());
  const tarball = join(temporary, pack.output.trim().split("\n").at(-1));
  for (const name of requested.length > 0 ? requested : Object.keys(managers)) {
    if ((await run(temporary, [name, "--version"])).status === 0) {
      await testWithoutScripts(name, tarball);
      await testWithScripts(name, tarball);
    } else {
      console.log(`skipped: ${name} is not installed`);
    }
  }
} finally {
  rmSync(temporary, { recursive: true, force: true });
}
console.log(`\n${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
