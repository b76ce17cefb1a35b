// Runs all tests of the CUDA backend on a GPU. usage: npm run test:cuda
// First the whole suite on the device cuda, then the matmuls with the built-in kernels instead of
// cuBLAS, then the ops and some training steps under compute-sanitizer, if it is installed:
// memcheck reports out-of-bounds accesses, racecheck reports races in shared memory.

import { canRun, run } from "./compile.mjs";

let failures = 0;

/** Runs tests on the GPU, under a tool if one is named. */
async function test(filters, { timeout, env, tool = [] }) {
  const suite = ["dist-test/run.js", "--device", "cuda", "--timeout", timeout, ...filters];
  const commandLine = [...tool, process.execPath, ...suite];
  if ((await run(commandLine[0], commandLine.slice(1), env)) !== 0) failures++;
}

await test([], { timeout: "600" });
await test(["cuda.test", "ops/matmul", "cuda-graph"], {
  timeout: "600",
  env: { TINYBARD_MATMUL: "own" },
});
if (canRun("compute-sanitizer", "--version")) {
  for (const name of ["memcheck", "racecheck"]) {
    console.log(`\n== compute-sanitizer --tool ${name}`);
    const flags = ["--tool", name, "--target-processes", "all", "--error-exitcode", "9"];
    await test(["ops/", "kernels.test", "capture"], {
      timeout: "1800",
      tool: ["compute-sanitizer", ...flags],
    });
  }
} else {
  console.log("skipped: compute-sanitizer is not installed");
}
process.exitCode = failures > 0 ? 1 : 0;
