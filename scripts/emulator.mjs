// All tests of the CUDA floor that need no GPU. usage: npm run test:emulator
// The emulator itself and the ladder, stand-alone; production kernels with a line removed, each of
// which must be found; the suites on the emulator; those of the ops and some training steps once
// more in the build that looks at every access. The last line is the total.

import { spawn, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { canRun, root } from "./compile.mjs";

const total = { passed: 0, failed: 0 };
const temporary = join(tmpdir(), `tinybard-emulator-${process.pid}`);
const builds = { fast: "build-emulator", checked: "build-checked" };
const addonOf = (mode) => join(root, builds[mode], "Release", "cuda.node");
const flags = {
  fast: ["-O2", "-g"],
  checked: ["-fsanitize=thread", "-g", "-O1"], // only its calls: the emulator answers them
};
const common = ["-std=c++17", "-fPIC", "-Wno-unknown-pragmas", "-fno-strict-aliasing"];
const kernels = ["-x", "c++", "-DTINYBARD_EMULATOR"];

/** Runs a command to its end; gives its exit code and what it said. */
function run(command, words, env = {}, shows = false) {
  const child = spawn(command, words, { cwd: root, env: { ...process.env, ...env } });
  let said = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text) => {
      said += text;
      if (shows) process.stdout.write(text);
    });
  return new Promise((done) => child.on("close", (code) => done({ code, said })));
}

/** Notes a check by its name. */
function note(name, isGood, said = "") {
  total[isGood ? "passed" : "failed"]++;
  console.log(`${isGood ? "pass" : "FAIL"}  ${name}${isGood ? "" : `\n${said}`}`);
}

/** Adds the totals that a program has printed. */
function add(name, { code, said }, isShown = false) {
  const found = [...said.matchAll(/^(\d+) passed, (\d+) failed/gm)].at(-1);
  if (!found) return note(name, false, said);
  total.passed += Number(found[1]);
  total.failed += Number(found[2]);
  if (code !== 0 && found[2] === "0") note(name, false, said);
  else console.log(`${code === 0 ? "pass" : "FAIL"}  ${name}: ${found[0]}`);
  if (code !== 0 && !isShown) console.log(said);
}

/** Compiles each source to an object, two at a time. */
async function compile(sources, folder, words) {
  mkdirSync(folder, { recursive: true });
  const waiting = [...sources];
  const objects = [];
  const work = async () => {
    for (let source = waiting.shift(); source; source = waiting.shift()) {
      const object = join(folder, `${source.replaceAll("/", "-")}.o`);
      objects.push(object);
      const { code, said } = await run("g++", [...common, ...words, "-c", source, "-o", object]);
      if (code !== 0) throw new Error(said);
    }
  };
  await Promise.all([work(), work()]);
  return objects;
}

const list = (folder, ending) =>
  readdirSync(join(root, folder))
    .filter((file) => file.endsWith(ending))
    .map((file) => `${folder}/${file}`);

/** The emulator against known results and planted mistakes; the steps of the ladder. */
async function standAlone() {
  const sources = [...list("native/emulator", ".cpp"), "native/call.cpp"];
  const define = ["-DTINYBARD_EMULATOR", "-O2", "-g"];
  const library = await compile(
    [...sources, "native/cuda/resources.cpp"],
    join(temporary, "library"),
    define,
  );
  for (const mode of ["fast", "checked"]) {
    const folder = join(temporary, mode);
    const words = [...kernels, ...flags[mode]];
    const [emulator] = await compile(["test/native/emulator.cpp"], folder, words);
    const steps = await compile(list("bench/ladder", ".cu"), folder, words);
    const [ladder] = await compile(["test/native/ladder.cpp"], folder, define);
    for (const [name, objects] of Object.entries({
      emulator: [emulator],
      ladder: [ladder, ...steps],
    })) {
      const program = join(folder, name);
      await run("g++", [...objects, ...library, "-o", program, "-lpthread", "-ldl"]);
      add(`${name}, ${mode}`, await run(program, []));
    }
  }
}

/** The suites on the device cuda-emulator. */
async function suites(mode, filters) {
  const words = ["dist-test/run.js", "--device", "cuda-emulator", "--timeout", "400", ...filters];
  console.log(`\n== the suites on the emulator, ${mode}`);
  const result = await run(process.execPath, words, { TINYBARD_EMULATOR: addonOf(mode) }, true);
  add(`suites, ${mode}`, result, true);
}

/** Who reads too early sees what another thread writes meanwhile, or what none has written yet. */
const unordered = /race|uninitialised/;

/** A line that is removed from a kernel: its scene, and what the report must say. */
const planted = [
  ["a barrier in matmul", "matmul/simt.cu", "    __syncthreads();\n", "matmul", unordered],
  ["a barrier in layerNorm", "normalization.cu", "    __syncthreads();\n", "layerNorm", unordered],
  ["a barrier in attention", "attention/simt.cu", "  __syncthreads();\n", "attention", unordered],
  [
    "a tail mask",
    "elementwise.cu",
    "if (i < n) y[i] = roundTo",
    "elementwise",
    /out of bounds/,
    "y[i] = roundTo",
  ],
  [
    "a cp.async wait in attention",
    "attention/forward.cu",
    "    waitForCopies<0>();\n",
    "flashAttention",
    /copyAsync/,
  ],
  [
    "a cp.async wait in matmul",
    "matmul/tensor_core.cuh",
    "      waitForCopies<STAGES - 2>();\n",
    "tensorCores",
    /copyAsync/,
    "",
    "matmul/tensor_core.cu",
  ],
];

/** Kernels with a line removed: each must be found, and the untouched one be silent. */
async function plantedMistakes() {
  const folder = join(root, builds.checked, "CMakeFiles");
  const objects = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".o"))
    .map((file) => join(folder, file));
  const scene = (name, addon) =>
    run(process.execPath, ["dist-test/support/mutants.js", name], { TINYBARD_EMULATOR: addon });
  for (const [name, file, line, where, report, instead = "", unit = file] of planted) {
    const own = join(temporary, name.replaceAll(/\W/g, "-"));
    cpSync(join(root, "native"), join(own, "native"), { recursive: true });
    const path = join(own, "native", "cuda", file);
    const source = readFileSync(path, "utf8");
    if (!source.includes(line)) {
      note(`planted: ${name}`, false, `${file} has no line ${JSON.stringify(line)}`);
      continue;
    }
    writeFileSync(path, source.replace(line, instead));
    const words = [...kernels, ...flags.checked, "-w"];
    const [mutant] = await compile([join(own, "native", "cuda", unit)], own, words);
    const others = objects.filter((object) => !object.endsWith(`native/cuda/${unit}.o`));
    const addon = join(own, "cuda.node");
    await run("g++", ["-shared", mutant, ...others, "-o", addon, "-lpthread", "-ldl"]);
    const [wrong, right] = [await scene(where, addon), await scene(where, addonOf("checked"))];
    note(`planted: ${name}`, report.test(wrong.said), wrong.said);
    console.log(`      ${wrong.said.split("\n").find((each) => report.test(each)) ?? ""}`);
    note(`untouched: ${name}`, right.said.trim() === "silent", right.said);
  }
}

const missing = ["g++", "cmake"].filter((command) => !canRun(command, "--version"));
if (missing.length > 0) {
  console.log(`skipped: the emulator: there is no ${missing.join(" and no ")}`);
} else {
  for (const flag of ["--emulator", "--checked"]) {
    const { status } = spawnSync(process.execPath, ["scripts/cuda.cjs", flag], {
      cwd: root,
      stdio: "inherit",
    });
    if (status !== 0) process.exit(1);
  }
  try {
    await standAlone();
    await plantedMistakes();
    const backend = ["cuda", "capture", "device", "memory", "kernels"].map(
      (part) => `backend/${part}`,
    );
    const model = ["gpt/golden", "gpt/model", "train/train"];
    const core = ["ops/", "dist-test/autograd.test", "scope", "nn/", "optim"];
    await suites("fast", [...backend, ...model, ...core]);
    await suites("checked", ["ops/", "backend/kernels.test", "backend/capture"]);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  console.log(`\n${total.passed} passed, ${total.failed} failed`);
  process.exitCode = total.failed > 0 ? 1 : 0;
}
