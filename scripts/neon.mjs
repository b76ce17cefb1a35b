// Compares the NEON kernels with the scalar ones (test/native/neon.cpp) on any machine: the object
// files of the addon for linux-arm64 are linked with the test, which runs in an emulator.
// usage: npm run test:neon
// On Debian: apt-get install g++-aarch64-linux-gnu qemu-user

import { join } from "node:path";
import { canRun, compile, link, root, run } from "./compile.mjs";
import { compileTarget } from "./prebuild.mjs";

const cxx = "aarch64-linux-gnu-g++";
const emulator = "qemu-aarch64";
const sysroot = "/usr/aarch64-linux-gnu"; // the C++ library, installed with the compiler
const missing = [cxx, emulator].filter((command) => !canRun(command, "--version"));
if (missing.length > 0) {
  console.log(`skipped: neon: missing ${missing.join(" and ")}`);
} else {
  const folder = join(root, "build-sanitize", "neon");
  const test = await compile(folder, {
    cxx,
    arch: "arm64",
    flags: ["-O2", "-Wall", "-Wextra", "-Inative"],
    isWanted: () => false,
    extraSources: ["neon", "no_mpi", "scalar_bf16"].map((name) => `test/native/${name}.cpp`),
  });
  const isTested = // with neon_bf16
    /linux-arm64.(?:scalar|neon|cpu.native-(?:kernel|cpu-parallel|cpu-precision)\.o)/;
  const kernels = (await compileTarget("linux-arm64")).filter((object) => isTested.test(object));
  const program = join(folder, "test");
  await link(program, [cxx, ...kernels, ...test, "-pthread"]);
  process.exitCode = await run(emulator, ["-L", sysroot, program]);
}
