// Compares the NEON kernels with the scalar ones (test/native/neon.cpp) on any machine: the test is
// cross-compiled and runs in an emulator. usage: npm run test:neon
// On Debian: apt-get install g++-aarch64-linux-gnu qemu-user

import { join } from "node:path";
import { build, canRun, root, run } from "./compile.mjs";

const cxx = "aarch64-linux-gnu-g++";
const emulator = "qemu-aarch64";
const missing = [cxx, emulator].filter((command) => !canRun(command, "--version"));
if (missing.length > 0) {
  console.log(`skipped: neon: missing ${missing.join(" and ")}`);
} else {
  const program = join(root, "build-sanitize", "neon", "test");
  await build(program, {
    cxx,
    arch: "arm64",
    flags: ["-O2", "-Wall", "-Wextra", "-Inative"],
    linkFlags: ["-static", "-pthread"],
    isWanted: (target) => target === "scalar" || target === "neon",
    extraSources: ["native/kernel.cpp", "native/cpu/parallel.cpp", "test/native/neon.cpp"],
  });
  process.exitCode = await run(emulator, [program]);
}
