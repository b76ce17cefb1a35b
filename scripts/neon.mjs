// Holds the NEON kernels to the scalar ones (test/native/neon.cpp), on any machine: cross-compiled,
// and run in an emulator. usage: npm run test:neon
// On Debian: apt-get install g++-aarch64-linux-gnu qemu-user

import { join } from "node:path";
import { build, isThere, root, run } from "./compile.mjs";

const cxx = "aarch64-linux-gnu-g++";
const emulator = "qemu-aarch64";
const missing = [cxx, emulator].filter((command) => !isThere(command, "--version"));
if (missing.length > 0) {
  console.log(`skipped: neon: there is no ${missing.join(" and no ")}`);
} else {
  const program = join(root, "build-sanitize", "neon", "test");
  await build(program, {
    cxx,
    arch: "arm64",
    flags: ["-O2", "-Wall", "-Wextra", "-Inative"],
    link: ["-static", "-pthread"],
    isWanted: (target) => target === "scalar" || target === "neon",
    more: ["native/call.cpp", "native/cpu/parallel.cpp", "test/native/neon.cpp"],
  });
  process.exitCode = await run(emulator, [program]);
}
