// All tests of the CUDA floor on a GPU. usage: npm run test:cuda
// The whole suite on the device cuda; matrix products once more by our own kernels; then the ops and
// some training steps under compute-sanitizer, where it is installed: memcheck sees accesses out of
// bounds, racecheck races in shared memory.

import { isThere, run } from "./compile.mjs";

const suite = (...filters) => ["dist-test/run.js", "--device", "cuda", ...filters];
let failures = (await run(process.execPath, suite("--timeout", "600"))) === 0 ? 0 : 1;
const products = suite("--timeout", "600", "cuda.test", "ops/matmul", "resident");
if ((await run(process.execPath, products, { TINYBARD_MATMUL: "own" })) !== 0) failures++;
if (isThere("compute-sanitizer", "--version")) {
  for (const tool of ["memcheck", "racecheck"]) {
    console.log(`\n== compute-sanitizer --tool ${tool}`);
    const words = ["--tool", tool, "--target-processes", "all", "--error-exitcode", "9"];
    const tests = suite("--timeout", "1800", "ops/", "kernels.test", "capture");
    if ((await run("compute-sanitizer", [...words, process.execPath, ...tests])) !== 0) failures++;
  }
} else {
  console.log("skipped: compute-sanitizer: it is not installed");
}
process.exitCode = failures > 0 ? 1 : 0;
