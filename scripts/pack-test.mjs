// Tests the published package: packs it, installs it in empty projects with each package manager,
// with install scripts disabled and enabled, and trains two steps on each device. Where the package
// contains an addon for this platform, it must be used. The same in Node for Windows, in Wine.
// usage: npm run test:pack [-- npm] [pnpm] [yarn] [bun] [wine]
// By default: all that are installed. Needs the registry, and a C++ compiler.

import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "./compile.mjs";
import { hasWine, installWindowsNode } from "./windows-node.mjs";

const managers = {
  npm: { add: ["install"], exec: ["npx", "--no"], rebuild: "npm rebuild tinybard" },
  pnpm: { add: ["add"], exec: ["pnpm", "exec"], rebuild: "pnpm approve-builds" },
  yarn: { add: ["add"], exec: ["yarn", "--silent", "run"], rebuild: "npm rebuild tinybard" },
  bun: { add: ["add"], exec: ["bun", "run"], rebuild: "bun pm trust tinybard" },
};
const prebuilt = `prebuilds/${process.platform}-${process.arch}/cpu.node`;
const prebuiltForWindows = "prebuilds/win32-x64/cpu.node";
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

/**
 * Installs the package in an empty project; returns functions that check it. `runProgram` runs
 * tinybard with arguments in a folder, by default with the package manager.
 */
async function install(manager, title, tarball, flags = [], runProgram = undefined) {
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
  const runByManager = (cwd, args) => run(cwd, program(...args), {}, /^iter 0/m);
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
      const args = ["train", "--data", "text.txt", "--device", device, ...steps];
      const { status, output, seconds } = await (runProgram ?? runByManager)(project, args);
      const isUsed = output.includes(`device: ${expected}`) && output.includes(details);
      const took = seconds ? ` (first step after ${seconds.toFixed(1)} s)` : "";
      const name = `${title}: train on ${device} uses ${expected}${details && `, ${details}`}`;
      check(`${name}${took}`, status === 0 && isUsed, output);
    },
  };
}

/** Without install scripts: everything works from the files in the package. */
async function testWithoutScripts(manager, tarball) {
  const title = `${manager} without install scripts`;
  const flags = manager === "bun" ? [] : ["--ignore-scripts"]; // bun runs none by default
  const { project, inPackage, program, train } = await install(manager, title, tarball, flags);
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

/** In Node for Windows, on the package that npm has installed here. */
async function testInWindows(tarball) {
  const runNode = await installWindowsNode();
  const program = join("node_modules", "tinybard", "dist", "cli", "index.js"); // npx tinybard
  const runProgram = (cwd, args) => runNode([program, ...args], cwd);
  const title = "Node for Windows";
  const project = await install("npm", title, tarball, ["--ignore-scripts"], runProgram);
  if (existsSync(project.inPackage(prebuiltForWindows))) {
    await project.train("cpu");
    rmSync(project.inPackage(prebuiltForWindows));
  }
  await project.train("wasm");
}

/** Packs the package; returns the path of the tarball. */
async function pack() {
  const packing = ["npm", "pack", "--silent", "--pack-destination", temporary];
  const { status, output } = await run(root, packing);
  if (status !== 0) throw new Error(output);
  const lines = output.trim().split("\n");
  // The rest is the progress of the compilers.
  for (const line of lines) if (/^(skipped|tinybard:) /.test(line)) console.log(line);
  return join(temporary, lines.at(-1));
}

try {
  const requested = process.argv.slice(2);
  const names = [...Object.keys(managers), "wine"];
  const unknown = requested.find((name) => !names.includes(name));
  if (unknown) throw new Error(`unknown argument ${unknown}, expected ${names.join(", ")}`);
  const tarball = await pack();
  for (const name of requested.length > 0 ? requested : names) {
    if (name === "wine" && hasWine) {
      await testInWindows(tarball);
    } else if (name !== "wine" && (await run(temporary, [name, "--version"])).status === 0) {
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
