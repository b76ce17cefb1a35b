// Runs the tests of the kernels and ops, and a training, in Node for arm64 with the addon for it,
// in an emulator.
//
// usage: npm run test:arm64 [-- FILTER... | options of the test runner]
// On Debian: apt-get install g++-aarch64-linux-gnu qemu-user

import { chmodSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { canRun, root, run } from "./compile.mjs";
import { installNode } from "./foreign-node.mjs";

/** Tests of what depends on the processor, and that start no other process in the emulator. */
const testFilters = ["ops/", "backend/kernels.test", "backend/capture.test"];

const folder = join(root, "build-arm64");
const emulator = "qemu-aarch64";
const sysroot = "/usr/aarch64-linux-gnu"; // libstdc++ for Node, installed with the compiler
const missing = ["aarch64-linux-gnu-g++", emulator].filter((tool) => !canRun(tool, "--version"));
if (missing.length > 0) {
  console.error(`test:arm64 needs ${missing.join(" and ")}`);
  console.error("on Debian: apt-get install g++-aarch64-linux-gnu qemu-user");
  process.exit(1);
}
mkdirSync(folder, { recursive: true });
if ((await run(process.execPath, ["scripts/prebuild.mjs", "linux-arm64"])) !== 0) process.exit(1);
const node = await installNode("linux-arm64", folder, "node", "20.19.6");

// The test runner starts this script for each test file.
const wrapper = join(folder, "node");
writeFileSync(wrapper, `#!/bin/sh\nexec ${emulator} -L ${sysroot} '${node}' "$@"\n`);
chmodSync(wrapper, 0o755);
const environment = { TINYBARD_ADDON: join(root, "prebuilds", "linux-arm64", "cpu.node") };

rmSync(join(folder, "run"), { recursive: true, force: true });
const text = join(folder, "text.txt");
writeFileSync(text, "To be, or not to be, that is the question:\n".repeat(200));
const steps = ["--max-iters", "10", "--eval-iters", "1", "--batch-size", "2"];
const train = ["dist/cli/index.js", "train", "--data", text, "--device", "cpu", ...steps];
console.log("== a training on arm64");
let code = await run(wrapper, [...train, "--out", join(folder, "run")], environment);

console.log("== tests on arm64");
const requested = process.argv.slice(2);
const args = requested.length > 0 ? requested : testFilters;
const runner = ["dist-test/run.js", "--node", wrapper, "--device", "cpu", "--timeout", "600"];
code = (await run(process.execPath, [...runner, ...args], environment)) || code;
process.exitCode = code;
