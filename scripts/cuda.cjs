// Builds the CUDA addon, build-cuda/Release/cuda.node, or the emulator, from CMakeLists.txt with
// cmake-js. Says in one line what is missing. CommonJS, like install.cjs.
//
// usage: node scripts/cuda.cjs [--emulator | --checked] [architecture ...], as in: 80-real 90
// --emulator: build-emulator/, the kernels on the processor; --checked: build-checked/, the same
// with a look at every access to memory. The log is kept beside the result.

"use strict";

const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");

const root = path.join(__dirname, "..");
const builds = {
  "": ["build-cuda", []],
  "--emulator": ["build-emulator", ["--CDEMULATOR=ON"]],
  "--checked": ["build-checked", ["--CDEMULATOR=ON", "--CDCHECKED=ON"]],
};

main(process.argv.slice(2));

function main(words) {
  const flag = words[0]?.startsWith("--") ? words.shift() : "";
  if (!(flag in builds)) return fail(`unknown argument ${flag}, expected --emulator or --checked`);
  const [folder, options] = builds[flag];
  const missing = ["cmake", flag ? "c++" : nvcc()].filter((command) => !works(command));
  if (missing.length > 0) {
    const what = { cmake: "no cmake: install it", "c++": "no C++ compiler: install g++" };
    const toolkit = "no CUDA compiler (nvcc): install the CUDA toolkit, or set CUDACXX";
    return fail(missing.map((each) => what[each] ?? toolkit).join("; "));
  }
  if (!flag) options.push(`--CDCMAKE_CUDA_COMPILER=${nvcc()}`);
  if (words.length > 0) options.push(`--CDCMAKE_CUDA_ARCHITECTURES=${words.join(";")}`);
  const temporary = path.join(fs.mkdtempSync(path.join(os.tmpdir(), "tinybard-")), "build.log");
  const output = fs.openSync(temporary, "w"); // cmake-js may empty its folder first
  const cmake = require.resolve("cmake-js/bin/cmake-js");
  const { status } = spawnSync(process.execPath, [cmake, "compile", "-O", folder, ...options], {
    cwd: root,
    env: { ...process.env, CMAKE_BUILD_PARALLEL_LEVEL: String(os.availableParallelism()) },
    stdio: ["ignore", output, output],
  });
  const said = fs.readFileSync(temporary, "utf8");
  fs.mkdirSync(path.join(root, folder), { recursive: true });
  fs.copyFileSync(temporary, path.join(root, folder, "build.log"));
  fs.rmSync(path.dirname(temporary), { recursive: true });
  if (status !== 0) {
    const problem =
      /^.*(?:error|Error|ERR!).*$/m.exec(said)?.[0] ?? `cmake-js ended with ${status}`;
    return fail(`${folder} was not built (${problem.trim()}); log: ${folder}/build.log`);
  }
  console.log(`tinybard: ${folder}/Release/cuda.node is built`);
}

/** The CUDA compiler: as CUDACXX says, on the path, or where toolkits are installed. */
function nvcc() {
  const usual = "/usr/local/cuda/bin/nvcc";
  return process.env.CUDACXX ?? (works("nvcc") || !fs.existsSync(usual) ? "nvcc" : usual);
}

function works(command) {
  return spawnSync(command, ["--version"], { stdio: "ignore" }).status === 0;
}

function fail(line) {
  console.error(`tinybard: ${line.replace(/\s+/g, " ")}`);
  process.exitCode = 1;
}
