// Builds the CUDA addon, build-cuda/Release/cuda.node, or its emulator, from CMakeLists.txt with
// cmake-js. Prints on one line which tools are missing. CommonJS, like install.cjs.
//
// usage: node scripts/cuda.cjs [--emulator | --checked] [architecture ...]
// --emulator: the kernels compiled for the CPU, in build-emulator/.
// --checked: the same in build-checked/, with every memory access checked.
// architecture: CMake's CUDA architectures, like 80-real 90.
// The log is written to build.log in the same folder.

"use strict";

const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");

const root = path.join(__dirname, "..");
const builds = {
  "": { folder: "build-cuda", options: [] },
  "--emulator": { folder: "build-emulator", options: ["--CDEMULATOR=ON"] },
  "--checked": { folder: "build-checked", options: ["--CDEMULATOR=ON", "--CDCHECKED=ON"] },
};

main(process.argv.slice(2));

function main(args) {
  const flag = args[0]?.startsWith("--") ? args[0] : "";
  if (!Object.hasOwn(builds, flag)) {
    return fail(`unknown argument ${flag}, expected --emulator or --checked`);
  }
  const architectures = flag ? args.slice(1) : args;
  const { folder, options } = builds[flag];
  const cmakeJs = findCmakeJs();
  const missing = [];
  if (!cmakeJs) missing.push("no cmake-js: npm install cmake-js@8.0.0");
  if (!works("cmake")) missing.push("no cmake: install it");
  if (flag && !works("c++")) missing.push("no C++ compiler: install g++");
  if (!flag && !works(findNvcc())) {
    missing.push("no CUDA compiler (nvcc): install the CUDA toolkit, or set CUDACXX to its path");
  }
  if (missing.length > 0) {
    const note = flag || hasGPU() ? "" : ". It needs an NVIDIA GPU, and this machine has none";
    return fail(`${folder} was not built (${missing.join("; ")})${note}`);
  }

  const cmakeArgs = [cmakeJs, "compile", "-O", folder, ...options];
  if (!flag) cmakeArgs.push(`--CDCMAKE_CUDA_COMPILER=${findNvcc()}`);
  if (architectures.length > 0) {
    cmakeArgs.push(`--CDCMAKE_CUDA_ARCHITECTURES=${architectures.join(";")}`);
  }
  const target = flag
    ? "the CUDA kernels for the CPU"
    : `the CUDA kernels with ${findNvcc()} for ${describeArchitectures(architectures)}`;
  console.log(`tinybard: compiles ${target} into ${folder}/; this takes 1 to 10 minutes`);
  const { status, output } = runLogged(cmakeArgs, path.join(root, folder));
  if (status === 0) {
    console.log(`tinybard: built ${folder}/Release/cuda.node`);
    return;
  }
  const error = /^.*(?:error|Error|ERROR|ERR!).*$/m.exec(output)?.[0].trim();
  const problem = error ?? `cmake-js exited with code ${status}`;
  fail(`${folder} was not built (${problem}); log: ${folder}/build.log`);
}

/** Runs Node with these arguments. Returns its output, which is also written to build.log. */
function runLogged(args, folder) {
  // cmake-js may empty the folder, so the log is moved there afterwards.
  const temporary = fs.mkdtempSync(path.join(os.tmpdir(), "tinybard-"));
  const file = path.join(temporary, "build.log");
  const log = fs.openSync(file, "w");
  const { status } = spawnSync(process.execPath, args, {
    cwd: root,
    env: { ...process.env, CMAKE_BUILD_PARALLEL_LEVEL: String(os.availableParallelism()) },
    stdio: ["ignore", log, log],
  });
  fs.closeSync(log);
  const output = fs.readFileSync(file, "utf8");
  fs.mkdirSync(folder, { recursive: true });
  fs.copyFileSync(file, path.join(folder, "build.log"));
  fs.rmSync(temporary, { recursive: true });
  return { status, output };
}

/** Returns the path of cmake-js, or null: it is a development dependency. */
function findCmakeJs() {
  try {
    return require.resolve("cmake-js/bin/cmake-js");
  } catch {
    return null;
  }
}

/** Describes the GPUs that CMakeLists.txt compiles for. */
function describeArchitectures(requested) {
  if (requested.length > 0) return requested.join(", ");
  if (process.env.CUDAARCHS) return process.env.CUDAARCHS;
  return hasGPU() ? "the GPU of this machine" : "all GPUs from 80 to 90 (this machine has none)";
}

function hasGPU() {
  const { stdout } = spawnSync("nvidia-smi", ["-L"], { encoding: "utf8" });
  return /^GPU 0/m.test(stdout ?? "");
}

/** Returns the CUDA compiler: CUDACXX, the one on the PATH, or the toolkit's default location. */
function findNvcc() {
  const defaultPath = "/usr/local/cuda/bin/nvcc";
  if (process.env.CUDACXX) return process.env.CUDACXX;
  return works("nvcc") || !fs.existsSync(defaultPath) ? "nvcc" : defaultPath;
}

function works(command) {
  return spawnSync(command, ["--version"], { stdio: "ignore" }).status === 0;
}

/** Prints an error on one line. */
function fail(message) {
  console.error(`tinybard: ${message.replace(/\s+/g, " ")}`);
  process.exitCode = 1;
}
