// All tests of the CUDA backend that need no GPU. usage: npm run test:emulator
// It tests the emulator itself and the matmul ladder as stand-alone programs; then mutants, kernels
// with a line removed, each of which must be reported; then the test suites on the emulator, those
// of the ops once more in the checked build. The last line is the total.

import { spawn, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { canRun, root } from "./compile.mjs";

const total = { passed: 0, failed: 0 };
const temporary = join(tmpdir(), `tinybard-emulator-${process.pid}`);
const builds = { fast: "build-emulator", checked: "build-checked" };
const addonPath = (mode) => join(root, builds[mode], "Release", "cuda.node");
const flags = {
  fast: ["-O2", "-g1"],
  checked: ["-fsanitize=thread", "-g1", "-O1"], // inserts calls that the emulator implements
};
const common = ["-std=c++17", "-fPIC", "-Wno-unknown-pragmas", "-fno-strict-aliasing"];
const kernels = ["-x", "c++", "-DTINYBARD_EMULATOR"];

/** Runs a command; returns its exit code and its output. */
function run(command, args, env = {}, isEchoed = false) {
  const child = spawn(command, args, { cwd: root, env: { ...process.env, ...env } });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => {
      output += text;
      if (isEchoed) process.stdout.write(text);
    });
  }
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, output })));
}

/** Counts and prints a check; prints the output of one that failed. */
function reportCheck(name, hasPassed, output = "") {
  total[hasPassed ? "passed" : "failed"]++;
  console.log(`${hasPassed ? "pass" : "FAIL"}  ${name}${hasPassed ? "" : `\n${output}`}`);
}

/** Adds the totals that a test program has printed. */
function addTotals(name, { code, output }, isEchoed = false) {
  const summary = [...output.matchAll(/^(\d+) passed, (\d+) failed/gm)].at(-1);
  if (!summary) return reportCheck(name, false, output);
  total.passed += Number(summary[1]);
  total.failed += Number(summary[2]);
  if (code !== 0 && summary[2] === "0") reportCheck(name, false, output);
  else console.log(`${code === 0 ? "pass" : "FAIL"}  ${name}: ${summary[0]}`);
  if (code !== 0 && !isEchoed) console.log(output);
}

/** Calls `work` for each item, for two at a time. */
async function forEach(items, work) {
  const queue = [...items];
  const next = async () => {
    while (queue.length > 0) await work(queue.shift());
  };
  await Promise.all([next(), next()]);
}

/** Compiles each source to an object file; returns the object files. */
async function compile(sources, folder, args) {
  mkdirSync(folder, { recursive: true });
  const objects = [];
  await forEach(sources, async (source) => {
    const object = join(folder, `${source.replaceAll("/", "-")}.o`);
    objects.push(object);
    const result = await run("g++", [...common, ...args, "-c", source, "-o", object]);
    if (result.code !== 0) throw new Error(result.output);
  });
  return objects;
}

/** Returns the files of a folder whose names end in `ending`. */
const listFiles = (folder, ending) =>
  readdirSync(join(root, folder))
    .filter((file) => file.endsWith(ending))
    .map((file) => `${folder}/${file}`);

/** Tests the emulator and the steps of the matmul ladder as stand-alone programs. */
async function testPrograms() {
  const sources = [...listFiles("native/emulator", ".cpp"), "native/kernel.cpp"];
  const hostFlags = ["-DTINYBARD_EMULATOR", "-O2", "-g1"];
  const library = await compile(
    [...sources, "native/cuda/resources.cpp"],
    join(temporary, "library"),
    hostFlags,
  );
  await forEach(["fast", "checked"], async (mode) => {
    const folder = join(temporary, mode);
    const kernelFlags = [...kernels, ...flags[mode]];
    const [emulator] = await compile(["test/native/emulator.cpp"], folder, kernelFlags);
    const steps = await compile(listFiles("bench/ladder", ".cu"), folder, kernelFlags);
    const [ladder] = await compile(["test/native/ladder.cpp"], folder, hostFlags);
    const programs = { emulator: [emulator], ladder: [ladder, ...steps] };
    for (const [name, objects] of Object.entries(programs)) {
      const program = join(folder, name);
      await run("g++", [...objects, ...library, "-o", program, "-lpthread", "-ldl"]);
      addTotals(`${name}, ${mode}`, await run(program, []));
    }
  });
}

/** Runs test suites on the device cuda-emulator. */
async function runSuites(mode, filters) {
  const args = ["dist-test/run.js", "--device", "cuda-emulator", "--timeout", "400", ...filters];
  console.log(`\n== test suites on the emulator, ${mode}`);
  const env = {
    TINYBARD_EMULATOR: addonPath(mode),
    TINYBARD_TEST_CHECKED: mode === "checked" ? "1" : "",
  };
  const result = await run(process.execPath, args, env, true);
  addTotals(`suites, ${mode}`, result, true);
}

/** The report of a read too early: during another thread's write, or before any. */
const unordered = /race|uninitialized/;

/**
 * The mutants: a line of a kernel file is removed or replaced, the scene of mutants.ts calls the
 * kernel, and the emulator's report must match. `unit` is the file to compile, if not `file`.
 */
const mutants = [
  {
    name: "a barrier in matmul",
    file: "matmul/simt.cu",
    line: "    __syncthreads();\n",
    scene: "matmul",
    report: unordered,
  },
  {
    name: "a barrier in layerNorm",
    file: "normalization.cu",
    line: "    __syncthreads();\n",
    scene: "layerNorm",
    report: unordered,
  },
  {
    name: "a barrier in attention",
    file: "attention/simt.cu",
    line: "  __syncthreads();\n",
    scene: "attention",
    report: unordered,
  },
  {
    name: "a tail mask",
    file: "elementwise.cu",
    line: "if (i < n) y[i] = roundTo",
    replacement: "y[i] = roundTo",
    scene: "elementwise",
    report: /out of bounds/,
  },
  {
    name: "a cp.async wait in attention",
    file: "attention/forward.cu",
    line: "    waitForCopies<0>();\n",
    scene: "flashAttention",
    report: /copyAsync/,
  },
  {
    name: "a cp.async wait in matmul",
    file: "matmul/tensor_core.cuh",
    line: "      waitForCopies<STAGES - 2>();\n",
    unit: "matmul/tensor_core.cu",
    scene: "tensorCores",
    report: /copyAsync/,
  },
];

/** Builds each mutant and runs its scene, and the same scene on the unchanged kernels. */
async function testMutants() {
  const folder = join(root, builds.checked, "CMakeFiles");
  const objects = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".o"))
    .map((file) => join(folder, file));
  const runScene = (scene, addon) =>
    run(process.execPath, ["dist-test/support/mutants.js", scene], { TINYBARD_EMULATOR: addon });
  await forEach(mutants, async ({ name, file, line, scene, report, replacement, unit = file }) => {
    const copy = join(temporary, name.replaceAll(/\W/g, "-"));
    cpSync(join(root, "native"), join(copy, "native"), { recursive: true });
    const path = join(copy, "native", "cuda", file);
    const source = readFileSync(path, "utf8");
    if (!source.includes(line)) {
      reportCheck(`mutant: ${name}`, false, `${file} has no line ${JSON.stringify(line)}`);
      return;
    }
    writeFileSync(path, source.replace(line, replacement ?? ""));
    const args = [...kernels, ...flags.checked, "-w"];
    const [mutant] = await compile([join(copy, "native", "cuda", unit)], copy, args);
    const others = objects.filter((object) => !object.endsWith(`native/cuda/${unit}.o`));
    const addon = join(copy, "cuda.node");
    await run("g++", ["-shared", mutant, ...others, "-o", addon, "-lpthread", "-ldl"]);
    const changed = await runScene(scene, addon);
    const unchanged = await runScene(scene, addonPath("checked"));
    reportCheck(`mutant: ${name}`, report.test(changed.output), changed.output);
    console.log(`      ${changed.output.split("\n").find((text) => report.test(text)) ?? ""}`);
    reportCheck(`unchanged: ${name}`, unchanged.output.trim() === "silent", unchanged.output);
  });
}

const missing = ["g++", "cmake"].filter((command) => !canRun(command, "--version"));
if (missing.length > 0) {
  console.log(`skipped: the emulator tests require ${missing.join(" and ")}`);
} else {
  for (const flag of ["--emulator", "--checked"]) {
    const { status } = spawnSync(process.execPath, ["scripts/cuda.cjs", flag], {
      cwd: root,
      stdio: "inherit",
    });
    if (status !== 0) process.exit(1);
  }
  try {
    await testPrograms();
    await testMutants();
    const backend = ["cuda", "capture", "device", "memory", "kernels"].map(
      (part) => `backend/${part}`,
    );
    const model = ["gpt/golden", "gpt/model", "train/train"];
    const gpus = ["distributed/nccl", "distributed/gpus"];
    const core = ["ops/", "dist-test/autograd.test", "scope", "nn/", "optim"];
    await runSuites("fast", [...backend, ...model, ...core, ...gpus]);
    await runSuites("checked", ["ops/", "backend/kernels.test", "backend/capture"]);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  console.log(`\n${total.passed} passed, ${total.failed} failed`);
  process.exitCode = total.failed > 0 ? 1 : 0;
}
